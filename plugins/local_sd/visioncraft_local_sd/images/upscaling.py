"""Larger pictures, from pixels to pixels: by Lanczos' filter, or by a network that spandrel recognises."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from visioncraft import LANCZOS, InvalidRequest, NotFound, enlarged, is_lanczos, state_of

from visioncraft_local_sd.device.memory import is_out_of_memory

_TILE, _MARGIN = 512, 32  # pixels; what a network sees beyond a tile's border hides the seam


class Upscalers:
    """Enlarges finished pictures.

    Args:
        find: From an upscaler's name to its file; raises `NotFound`.
        device: Where networks compute.
    """

    def __init__(self, find: Callable[[str], Path], device: str) -> None:
        self._find, self._device = find, device
        self._last: tuple[Hashable, Any] | None = None  # the next picture often wants the same one

    def enlarge(self, pixels: np.ndarray, name: str, width: int, height: int, field: str) -> np.ndarray:
        """A picture at another size: uint8, (height, width, 3).

        A network enlarges by its own factor; Lanczos' filter does the rest. Raises `InvalidRequest` that names `field`
        for an upscaler that is absent or that nothing here can run.
        """
        if not is_lanczos(name):
            pixels = _through(self._network(name, field), pixels, self._device)
        return enlarged(pixels, width, height)

    def _network(self, name: str, field: str) -> Any:
        try:
            path = self._find(name)
        except NotFound as absent:
            raise InvalidRequest.of(field, f"{absent.message}; '{LANCZOS}' is always there") from absent
        now = path, state_of(path)  # another file may have been put in its place
        if self._last is None or self._last[0] != now:
            self._last = None  # its memory first
            self._last = (now, _loaded(path, self._device, field))
        return self._last[1]


def _loaded(path: Path, device: str, field: str) -> Any:
    from safetensors.torch import load_file

    try:
        with _torchvision_or_none():
            import spandrel
    except ImportError as absent:
        hint = f"pip install --no-deps spandrel brings it; '{LANCZOS}' needs nothing"
        raise InvalidRequest.of(field, f"spandrel is not installed: {hint}") from absent
    try:
        network = spandrel.ModelLoader(device).load_from_state_dict(load_file(path))
    except spandrel.UnsupportedModelError as error:
        raise InvalidRequest.of(
            field, f"spandrel does not know the network in {path.name}; choose another one"
        ) from error
    except Exception as error:  # spandrel and torch raise what they please over weights that are not all there
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InvalidRequest.of(field, f"{path.name} cannot be loaded, it is pruned or damaged: {said}") from error
    if not isinstance(network, spandrel.ImageModelDescriptor) or network.input_channels != 3:
        raise InvalidRequest.of(field, f"{path.name} is a network for something else than enlarging pictures in colour")
    return network.eval()


def _through(network: Any, pixels: np.ndarray, device: str) -> np.ndarray:
    """Tile by tile, so that a large picture takes no more memory than a small one."""
    height, width = pixels.shape[:2]
    scale: int = network.scale
    larger = np.empty((height * scale, width * scale, 3), np.uint8)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            above, before = max(0, top - _MARGIN), max(0, left - _MARGIN)
            bottom, right = min(height, top + _TILE), min(width, left + _TILE)
            seen = pixels[above : bottom + _MARGIN, before : right + _MARGIN]
            drawn = _once(network, seen, device)[(top - above) * scale :, (left - before) * scale :]
            size = ((bottom - top) * scale, (right - left) * scale)
            larger[top * scale : bottom * scale, left * scale : right * scale] = drawn[: size[0], : size[1]]
    return larger


def _once(network: Any, pixels: np.ndarray, device: str) -> np.ndarray:
    unit = torch.from_numpy(pixels.astype(np.float32) / 255.0).permute(2, 0, 1)[None].to(device)
    drawn = network(unit)[0].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return drawn.permute(1, 2, 0).contiguous().cpu().numpy()  # type: ignore[no-any-return]


@contextmanager
def _torchvision_or_none() -> Iterator[None]:
    """Let spandrel be imported where torchvision is not installed: PyPI has it for torch with CUDA only.

    Of all its networks only one that fills holes and one that restores faces take anything from there, three names.
    """
    if find_spec("torchvision") is not None:
        yield
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    for name in names:
        stand_in = ModuleType(name)
        stand_in.__spec__ = ModuleSpec(name, None, is_package=True)
        sys.modules[name] = stand_in
    for absent in ("InterpolationMode", "rotate", "normalize"):
        setattr(sys.modules[names[-1]], absent, None)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
