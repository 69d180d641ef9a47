"""The device that draws, asked through NVML (`nvidia-ml-py`), so that nobody waits for torch to be told what is there.

NVML sees the driver's devices. Whether an installed engine can use them is the engine's own affair.
"""

from __future__ import annotations

import os
import platform
import re
import time
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from visioncraft.types.status import DeviceInfo

_GB = 2**30
_ASK_AGAIN_S = 60.0
_BF16 = frozenset({"avx512_bf16", "amx_bf16"})  # flags in /proc/cpuinfo of processors that multiply bf16


def probe_device(cpu_only: bool = False) -> DeviceInfo:
    """The first NVIDIA GPU that `CUDA_VISIBLE_DEVICES` leaves visible, else the CPU. Cheap, and never raises.

    Args:
        cpu_only: Answer the CPU even where there is a GPU, for an engine that cannot use one.
    """
    if not cpu_only and _driver_answers(int(time.monotonic() / _ASK_AGAIN_S)):
        try:
            return _probe_gpu()
        except Exception:  # no device, a driver that was just updated: all mean "no GPU now"
            _nvml.cache_clear()
    return DeviceInfo(device="cpu", device_name=_cpu_name())


def free_memory_gb() -> float:
    """Main memory that could be allocated now, in GB (2**30 bytes), within a container's own limit."""
    import psutil

    return float(min(psutil.virtual_memory().available, _cgroup_free()) / _GB)


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has instructions that multiply bf16; where Linux does not say so, it does not count.

    Elsewhere libraries emulate bf16: slower than fp32, and rounding in ways that depend on how much is computed at
    once.
    """
    try:
        return not _BF16.isdisjoint(cpuinfo.read_text("ascii", "replace").split())
    except OSError:
        return False


def _cgroup_free() -> float:
    """What a container's own limit leaves: past it the kernel kills, whatever the machine has free."""
    try:
        root = Path("/sys/fs/cgroup")
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        return float("inf") if limit == "max" else int(limit) - int((root / "memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return float("inf")


def _probe_gpu() -> DeviceInfo:
    nvml = _nvml()
    handle = _visible_handle(nvml)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
    return DeviceInfo(
        device="cuda",
        device_name=_text(nvml.nvmlDeviceGetName(handle)),
        vram_total=round(memory.total / _GB, 2),
        vram_used=round(memory.used / _GB, 2),
        vram_free=round(memory.free / _GB, 2),
        cuda_version=f"{version // 1000}.{version % 1000 // 10}",
    )


@lru_cache(maxsize=1)
def _driver_answers(period: int) -> bool:
    """Whether there is a driver. Looking for one in vain costs milliseconds, so each answer serves a while."""
    try:
        _nvml()
    except Exception:  # pynvml has an error for each way of having no driver
        return False
    return True


@cache
def _nvml() -> Any:
    """pynvml, initialised once: `nvmlInit` costs milliseconds, the questions after it microseconds."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml


def _visible_handle(nvml: Any) -> Any:
    """CUDA numbers devices after `CUDA_VISIBLE_DEVICES`, NVML before it; device 0 of CUDA is what engines draw on."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return nvml.nvmlDeviceGetHandleByIndex(0)
    first = visible.split(",")[0].strip()
    if first.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first)


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


@cache
def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine() or "CPU"
