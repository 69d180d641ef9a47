"""Devices and precision: what torch can use, what to install where it cannot, and which arithmetic a CPU draws in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import DeviceInfo, ServiceUnavailable
from visioncraft_local_sd.device import choose
from visioncraft_local_sd.device.choose import choose_device, describe_device
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.loading import precision

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
        monkeypatch.setattr(choose, "probe_device", lambda cpu_only=False: DeviceInfo() if cpu_only else GPU)

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

    monkeypatch.setattr(choose, "probe_device", lambda cpu_only=False: DeviceInfo() if cpu_only else GPU)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(choose, "version", lambda name: "2.13.0+cpu")
    assert describe_device("auto", None).device == "cpu"
    monkeypatch.setattr(choose, "version", lambda name: "2.13.0+cu126")
    assert describe_device("auto", None) == GPU
    assert describe_device("cpu", None).device == "cpu"
    assert describe_device("auto", "cpu").device == "cpu"


@pytest.mark.parametrize(
    ("multiplies", "dtype", "drawn"),
    [
        (True, "auto", "bf16"),
        (True, "bf16", "bf16"),
        (True, "fp32", "fp32"),
        (False, "auto", "fp32"),
        (False, "bf16", "fp32"),
    ],
)
def test_bf16_is_for_processors_that_multiply_it_and_one_that_does_not_says_that_it_was_asked_in_vain(
    generator_for: Make,
    sd1: Path,
    ask: Any,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    multiplies: bool,
    dtype: str,
    drawn: str,
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: multiplies)
    image = generator_for(dtype=dtype).run(ask(sd1), recorder())
    assert image.facts["dtype"] == drawn
    in_vain = dtype == "bf16" != drawn
    assert image.warnings == ((precision.EMULATED,) if in_vain else ())
    assert (precision.EMULATED in caplog.text) == in_vain


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_picture_in_bf16_is_the_picture_in_fp32_but_for_rounding(
    generator_for: Make,
    family: str,
    request: pytest.FixtureRequest,
    ask: Any,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numpy as np
    from visioncraft import decode_png

    monkeypatch.setattr(precision, "has_bf16", lambda: True)
    folder = request.getfixturevalue(family)
    exact, rounded = (
        decode_png(generator_for(dtype=dtype).run(ask(folder, num_inference_steps=6), recorder()).png).astype(int)
        for dtype in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rounded).mean() < 2.0


def test_half_precision_meant_for_a_gpu_is_not_used_on_the_cpu_that_stands_in(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    local = generator_for(device="auto", dtype="fp16")
    assert local.run(ask(sd1), recorder()).facts["dtype"] == "fp32"
