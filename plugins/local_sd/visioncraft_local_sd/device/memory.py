"""Device memory: how much there is, how much a picture needs, and the modes that make it need less.

The estimates are sums of weights plus the peak of activations. Their two factors were measured by tracking every
allocation of the real SD 1.x, 2.x and XL architectures (fake tensors, 512 and 1024 pixels): the VAE decoder peaks at
6.0 full-resolution feature maps, the UNet under guidance at 16-26 latent-resolution ones. The constants below leave
room for convolution workspaces above that. On an H100 the decoder peaked at 9.6 maps, in fp16 and in fp32.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from visioncraft import InsufficientVRAM, free_memory_gb
from visioncraft_diffusion.generator import NOT_ENOUGH, main_memory_budget_gb

from visioncraft_local_sd.weights.checkpoints import Checkpoint

GB = 2**30
MemoryMode = Literal["full", "slicing", "offload", "sequential"]
MODES: tuple[MemoryMode, ...] = ("full", "slicing", "offload", "sequential")
"""From the fastest to the least hungry."""

TILE = 512
"""Side of a VAE tile, in pixels."""

_VAE_MAPS = {"cuda": 10, "cpu": 8}
_BASE_GB = {"cuda": 0.3, "cpu": 0.05}  # what cuDNN, cuBLAS and the allocator keep beside tensors


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model takes, before it is loaded.

    Args:
        weights: GB by component, in the precision it is loaded with.
        denoiser_bytes, vae_bytes: Bytes of one activation.
        denoiser_width, vae_width: Channels of the first, largest feature maps.
        scale: Pixels a latent stands for, by side.
        device: `cuda` or `cpu`.
        maps: See `Family.maps`.
    """

    weights: Mapping[str, float]
    denoiser_bytes: int
    vae_bytes: int
    denoiser_width: int
    vae_width: int
    scale: int
    device: str
    maps: float

    def resident_gb(self, mode: MemoryMode) -> float:
        """GB of weights that stay on the device."""
        if mode == "offload":
            return max(self.weights.values())
        if mode == "sequential":
            return max(self.weights.values()) / 10  # one block and the next
        return sum(self.weights.values())

    def working_gb(self, width: int, height: int, mode: MemoryMode) -> float:
        """GB that drawing takes beside the weights, for a picture of `width` x `height` pixels."""
        denoiser = 2 * self.row_gb(height // self.scale, width // self.scale) * GB
        decoded = width * height if mode == "full" else min(width * height, TILE * TILE)
        vae = _VAE_MAPS[self.device] * decoded * self.vae_width * self.vae_bytes
        return max(denoiser, vae) / GB + _BASE_GB[self.device]

    def row_gb(self, height: int, width: int) -> float:
        """GB that one row of a denoiser call takes, for latents of that height and width."""
        return self.maps * height * width * self.denoiser_width * self.denoiser_bytes / GB

    def required_gb(self, width: int, height: int, mode: MemoryMode) -> float:
        """GB for weights and work together."""
        return self.resident_gb(mode) + self.working_gb(width, height, mode)


def footprint(checkpoint: Checkpoint, device: str, denoiser_bytes: int, vae_bytes: int, text_bytes: int) -> Footprint:
    """Estimate from a checkpoint's configuration and its weights' headers; needs no torch."""
    family = checkpoint.kind
    sizes = {family.denoiser: denoiser_bytes, "vae": vae_bytes}
    widths = checkpoint.config("vae").get("block_out_channels") or [128, 256, 512, 512]
    return Footprint(
        weights={part: n * sizes.get(part, text_bytes) / GB for part, n in checkpoint.parameters.items()},
        denoiser_bytes=denoiser_bytes,
        vae_bytes=vae_bytes,
        denoiser_width=family.width(checkpoint.config(family.denoiser)),
        vae_width=widths[0],
        scale=2 ** (len(widths) - 1),
        device=device,
        maps=family.maps,
    )


def free_gb(device: str) -> float:
    """Memory that could be allocated now, in GB: the driver's free memory and what torch holds unused."""
    if device == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info()
        held: list[dict[str, Any]] = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        common = (part for part in held if part["segment_pool_id"] == (0, 0))  # others belong to recorded calls
        return float(free + sum(part["total_size"] - part["allocated_size"] for part in common)) / GB
    return free_memory_gb()


def insufficient(available: float, required: float, device: str) -> InsufficientVRAM:
    """The error for a device that has not as many GB as are required."""
    if device == "cuda":
        return InsufficientVRAM(available, required)
    return InsufficientVRAM(available, required, NOT_ENOUGH)


def reset_peak(device: str) -> None:
    """Let `peak_gb` count from now on."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()


def peak_gb(device: str) -> float:
    """The most device memory that was taken at once, in GB; 0 where there is no such device."""
    if device != "cuda":
        return 0.0
    import torch

    return round(torch.cuda.max_memory_allocated() / GB, 2)


def budget_gb(device: str, setting: float) -> float:
    """GB that loaded models may take together; see `LocalSDSettings.memory_budget_gb`."""
    if device == "cpu" or setting > 0:
        return main_memory_budget_gb(setting)
    import torch

    return float(torch.cuda.mem_get_info()[1] / GB * 0.9)


def give_back(device: str) -> None:
    """Return what nothing refers to any more, to the driver where there is one, and to the system."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc
        trim(0)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, of whatever kind."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in words or "CUDA out of memory" in words)
