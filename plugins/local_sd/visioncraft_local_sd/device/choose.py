"""Which device torch can use here, and what to install where it cannot use the one that is there."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from visioncraft import DeviceInfo, ServiceUnavailable, probe_device

from visioncraft_local_sd.settings import DeviceSetting

_log = logging.getLogger("visioncraft.local_sd")
_SELECTOR = "with the command that https://pytorch.org/get-started/locally shows for"
_LEGACY = f"pip install 'torch<2.15' {_SELECTOR} CUDA 12.6"
_CURRENT = f"pip install --upgrade torch {_SELECTOR} the newest CUDA"


def choose_device(setting: DeviceSetting) -> str:
    """`cuda` or `cpu`. Imports torch.

    `auto` falls back to the CPU, and says why in the log where a GPU is there but of no use. Raises
    `ServiceUnavailable` where `cuda` was asked for and cannot be, with what to install.
    """
    if setting == "cpu":
        return "cpu"
    problem = cuda_problem()
    if problem is None:
        return "cuda"
    if setting == "cuda":
        raise ServiceUnavailable(problem)
    if probe_device().device == "cuda":
        _log.warning("%s. Drawing on the CPU meanwhile", problem)
    return "cpu"


def cuda_problem() -> str | None:
    """Why torch cannot use the first CUDA device, with what to install; None where it can.

    Kernels are compiled per architecture: those of `sm_60` run on 6.0 and 6.1, `compute_80` is compiled on the spot
    for 8.0 and everything newer. Which wheels hold which: https://github.com/pytorch/pytorch/issues/157517,
    https://github.com/pytorch/pytorch/blob/main/RELEASE.md#pytorch-cuda-support-matrix; CUDA 12.6 builds still reach
    back to 5.0, and are to end with torch 2.15 (https://github.com/pytorch/pytorch/issues/190385).
    """
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a CPU build; for an NVIDIA GPU: {_CURRENT}"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA device; check the driver with nvidia-smi"
    major, minor = torch.cuda.get_device_capability()
    if _supported((major, minor), torch.cuda.get_arch_list()):
        return None
    name = torch.cuda.get_device_name()
    shown = f"{name} has compute capability {major}.{minor}, for which torch {torch.__version__} has no kernels"
    if (major, minor) < (5, 0):
        return f"{shown}, nor has any current build; set plugins.config.local_sd.device to cpu"
    return f"{shown}; install a build that has: {_LEGACY if (major, minor) < (7, 5) else _CURRENT}"


def describe_device(setting: DeviceSetting, chosen: str | None) -> DeviceInfo:
    """The device as `/status` shows it, cheaply and without importing torch.

    Args:
        chosen: What `choose_device` said, if it was asked already.
    """
    return probe_device(cpu_only=chosen == "cpu" or (chosen is None and (setting == "cpu" or _cpu_build())))


def _supported(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    for entry in architectures:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", entry)
        if found is None:
            continue
        built = (int(found[2]), int(found[3]))
        same_generation = built[0] == capability[0] and built[1] <= capability[1]
        if same_generation or (found[1] == "compute" and built <= capability):
            return True
    return False


def _cpu_build() -> bool:
    """Whether the installed torch was built without CUDA, by its version's tag where it was not imported yet."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "version"):
        return torch.version.cuda is None
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True
