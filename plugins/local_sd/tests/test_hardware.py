"""Devices and precision: what torch can use, what to install where it cannot, and which arithmetic a CPU prefers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import DeviceInfo, ServiceUnavailable
from visioncraft_local_sd import hardware, precision
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.hardware import choose_device, describe_device

Make = Callable[..., LocalSD]
NEW = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
GPU = DeviceInfo("cuda", "NVIDIA GeForce GTX 1070", 8.0, 4.2, 3.8, "12.1")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A CUDA build of torch with a GPU, of which these machines have neither."""
    import torch

    def install(capability: tuple[int, int], architectures: list[str], available: bool = True) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: GPU.device_name)
        monkeypatch.setattr(hardware, "probe_device", lambda cpu_only=False: DeviceInfo() if cpu_only else GPU)

    return install


@pytest.mark.parametrize(
    ("capability", "architectures"),
    [((6, 1), CU126), ((7, 5), NEW), ((8, 9), NEW), ((9, 0), CU126), ((12, 1), NEW), ((13, 0), NEW)],
)
def test_a_gpu_is_used_where_torch_has_kernels_for_its_generation_or_can_compile_them(
    gpu: Any, capability: tuple[int, int], architectures: list[str]
) -> None:
    gpu(capability, architectures)
    assert choose_device("auto") == choose_device("cuda") == "cuda"


@pytest.mark.parametrize(
    ("capability", "architectures", "install"),
    [
        ((6, 1), NEW, "CUDA 12.6"),
        ((7, 0), NEW, "'torch<2.15'"),
        ((12, 0), CU126, "newest CUDA"),
        ((3, 5), NEW, "to cpu"),
    ],
)
def test_a_gpu_torch_has_no_kernels_for_is_told_what_to_install(
    gpu: Any, capability: tuple[int, int], architectures: list[str], install: str
) -> None:
    gpu(capability, architectures)
    with pytest.raises(ServiceUnavailable, match="GTX 1070 has compute capability") as caught:
        choose_device("cuda")
    assert install in caught.value.message
    assert f"{capability[0]}.{capability[1]}" in caught.value.message


def test_auto_draws_on_the_cpu_where_the_gpu_is_too_old_and_says_why(
    gpu: Any, caplog: pytest.LogCaptureFixture, generator_for: Make, sd1: Path, ask: Any, recorder: Any
) -> None:
    gpu((6, 1), NEW)
    local = generator_for(device="auto")
    assert local.status().device == GPU
    with caplog.at_level(logging.WARNING):
        assert local.run(ask(sd1), recorder()).vram_used == 0.0
    assert "CUDA 12.6" in caplog.text
    device = local.status().device
    assert device is not None
    assert device.device == "cpu"


def test_a_cpu_build_asked_for_cuda_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ServiceUnavailable, match=r"is a CPU build.*pip install"):
        choose_device("cuda")


def test_a_driver_without_a_device_is_told_apart(gpu: Any) -> None:
    gpu((8, 0), NEW, available=False)
    with pytest.raises(ServiceUnavailable, match="nvidia-smi"):
        choose_device("cuda")


def test_status_says_cpu_for_a_cpu_build_though_the_machine_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(hardware, "probe_device", lambda cpu_only=False: DeviceInfo() if cpu_only else GPU)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(hardware, "version", lambda name: "2.13.0+cpu")
    assert describe_device("auto", None).device == "cpu"
    monkeypatch.setattr(hardware, "version", lambda name: "2.13.0+cu126")
    assert describe_device("auto", None) == GPU
    assert describe_device("cpu", None).device == "cpu"
    assert describe_device("auto", "cpu").device == "cpu"


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([1.0, 0.5, 1.0, 0.5], "bf16"),
        ([1.0, 2.0, 1.0, 0.5], "fp32 (vae bf16)"),
        ([1.0, 0.95, 1.0, 1.5], "fp32"),
    ],
)
def test_each_component_takes_the_arithmetic_that_was_faster_and_the_picture_says_which(
    generator_for: Make,
    sd1: Path,
    ask: Any,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
    times: list[float],
    chosen: str,
) -> None:
    measured = iter(times)
    monkeypatch.setattr(precision, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(precision, "_best_time", lambda module, probe: next(measured))
    image = generator_for(dtype="auto").run(ask(sd1), recorder())
    assert image.facts["dtype"] == chosen
    assert next(measured, None) is None


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_measurement_runs_both_arithmetics_on_the_real_weights(
    generator_for: Make, family: str, request: pytest.FixtureRequest, ask: Any, recorder: Any, monkeypatch: Any
) -> None:
    import torch

    seen: list[tuple[str, torch.dtype]] = []
    timed = precision._best_time

    def spy(module: Any, probe: Any) -> float:
        seen.append((type(module).__name__, module.dtype))
        return timed(module, probe)

    monkeypatch.setattr(precision, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(precision, "_best_time", spy)
    image = generator_for(dtype="auto").run(ask(request.getfixturevalue(family)), recorder())
    parts = ("UNet2DConditionModel", "AutoencoderKL")
    assert seen == [(part, dtype) for part in parts for dtype in (torch.float32, torch.bfloat16)]
    assert str(image.facts["dtype"]).startswith(("fp32", "bf16"))


def test_without_bf16_kernels_nothing_is_timed(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda: False)
    monkeypatch.setattr(precision, "_best_time", lambda module, probe: pytest.fail("timed"))
    assert generator_for(dtype="auto").run(ask(sd1), recorder()).facts["dtype"] == "fp32"


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_picture_in_bf16_is_the_picture_in_fp32_but_for_rounding(
    generator_for: Make, family: str, request: pytest.FixtureRequest, ask: Any, recorder: Any
) -> None:
    import numpy as np
    from visioncraft import decode_png

    folder = request.getfixturevalue(family)
    exact, rounded = (
        decode_png(generator_for(dtype=dtype).run(ask(folder, num_inference_steps=6), recorder()).png).astype(int)
        for dtype in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rounded).mean() < 2.0


def test_half_precision_meant_for_a_gpu_is_not_used_on_the_cpu_that_stands_in(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda: False)
    local = generator_for(device="auto", dtype="fp16")
    assert local.run(ask(sd1), recorder()).facts["dtype"] == "fp32"
