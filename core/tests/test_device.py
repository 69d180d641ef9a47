"""The device probe, against NVML as it is here (absent) and as a GPU machine answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from visioncraft.engines import devices
from visioncraft.engines.devices import has_bf16, probe_device

GB = 2**30


class FakeNVML:
    """Stands for the NVIDIA driver, which these machines lack."""

    def __init__(self, name: str | bytes = "NVIDIA GeForce GTX 1070") -> None:
        self.name = name
        self.inits = 0
        self.alive = True
        self.asked: list[int | str] = []

    def nvmlInit(self) -> None:  # noqa: N802
        self.inits += 1
        self.alive = True

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if not self.alive:
            raise RuntimeError("Uninitialized")
        self.asked.append(index)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if not uuid.startswith("GPU-"):
            raise RuntimeError("Invalid Argument")
        self.asked.append(uuid)
        return 7

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:  # noqa: N802
        return self.name

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=8 * GB, used=int(4.2 * GB), free=int(3.8 * GB))

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 12010


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNVML]:
    fake = FakeNVML()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices._nvml.cache_clear()
    devices._driver_answers.cache_clear()
    yield fake
    devices._nvml.cache_clear()
    devices._driver_answers.cache_clear()


def test_a_gpu_is_described_in_gb_with_the_drivers_cuda_version(nvml: FakeNVML) -> None:
    found = probe_device()
    assert (found.device, found.device_name) == ("cuda", "NVIDIA GeForce GTX 1070")
    assert (found.vram_total, found.vram_used, found.vram_free) == (8.0, 4.2, 3.8)
    assert found.cuda_version == "12.1"


def test_older_bindings_that_answer_bytes_give_the_same_name(nvml: FakeNVML) -> None:
    nvml.name = b"Tesla T4"
    assert probe_device().device_name == "Tesla T4"


def test_nvml_is_initialised_once_for_many_probes(nvml: FakeNVML) -> None:
    for _ in range(5):
        probe_device()
    assert nvml.inits == 1


def test_a_driver_that_goes_away_means_cpu_now_and_is_asked_again_later(nvml: FakeNVML) -> None:
    assert probe_device().device == "cuda"
    nvml.alive = False
    assert probe_device().device == "cpu"
    assert probe_device().device == "cuda"


@pytest.mark.parametrize(("visible", "asked"), [("2,0", 2), ("GPU-5f1d", "GPU-5f1d")])
def test_the_device_that_cuda_calls_first_is_the_one_described(
    nvml: FakeNVML, monkeypatch: pytest.MonkeyPatch, visible: str, asked: int | str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert probe_device().device == "cuda"
    assert nvml.asked == [asked]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_devices_leave_the_cpu(nvml: FakeNVML, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert probe_device().device == "cpu"


def test_an_engine_that_cannot_use_the_gpu_is_told_the_cpu(nvml: FakeNVML) -> None:
    found = probe_device(cpu_only=True)
    assert (found.device, found.vram_total, found.cuda_version) == ("cpu", 0.0, None)
    assert nvml.inits == 0


def test_without_a_driver_library_the_real_nvml_means_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def no_library() -> None:
        raise pynvml.NVMLError_LibraryNotFound()

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    devices._nvml.cache_clear()
    devices._driver_answers.cache_clear()
    found = probe_device()
    assert found.device == "cpu"
    assert found.device_name not in ("", "CPU")


def test_a_processor_that_multiplies_bf16_is_known_by_its_flags(tmp_path: Path) -> None:
    for name, flags in (("zen5", "flags : fpu avx512_bf16 sse"), ("haswell", "flags : fpu avx2 sse")):
        (tmp_path / name).write_text(flags)
    assert has_bf16(tmp_path / "zen5")
    assert not has_bf16(tmp_path / "haswell")
    assert not has_bf16(tmp_path / "no linux")
