"""What lies in a folder of ONNX graphs: read by its names and its JSON, without ONNX Runtime.

The layout is that of Optimum's exports and of the hub's: a folder for each part with `model.onnx` in it, weights
beside it where they are too large for the graph. A model that torch runs too may keep the graphs of its VAE beside
the weights they share, as `vae/decoder.onnx` and `vae/encoder.onnx`: a graph may use only what lies below its folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from visioncraft import check_regular, is_bystander
from visioncraft_diffusion import json_files
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.families import Family, family_of

_PLACES: Mapping[str, tuple[str, ...]] = {
    "text_encoder": ("text_encoder/model.onnx",),
    "text_encoder_2": ("text_encoder_2/model.onnx",),
    "unet": ("unet/model.onnx",),
    "vae_decoder": ("vae_decoder/model.onnx", "vae/decoder.onnx"),
    "vae_encoder": ("vae_encoder/model.onnx", "vae/encoder.onnx"),
}
_OPTIONAL = frozenset({"vae_encoder"})
NOTE = "export.json"
"""What `visioncraft models export` notes of an export: the model it was made of, and its precision."""

_WIDTHS = "block_out_channels"
_MAX_SCANNED = 64 * 2**20  # bytes of a graph that are looked through for the names of its weights


@dataclass(frozen=True)
class OnnxFolder:
    """A folder with every part it needs.

    Args:
        path: The folder.
        graphs: The graph of each part, by the part's name.
        family: `sd1`, `sd2` or `sdxl`.
        scheduler: `scheduler/scheduler_config.json`.
        unet, vae: Their `config.json`; empty where there is none.
    """

    path: Path
    graphs: Mapping[str, Path]
    family: Family
    scheduler: Mapping[str, Any]
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]

    @property
    def precision(self) -> str:
        """What the denoiser computes in, where the export noted it; empty where it did not."""
        note = self.path / NOTE
        return str(read_json(note).get("precision", "")) if note.is_file() else ""

    @property
    def scale(self) -> int:
        """Pixels a latent stands for, by side."""
        return 1 << (len(self.vae.get("block_out_channels") or [0] * 4) - 1)

    @property
    def size_multiple(self) -> int:
        """Pixels that sides are multiples of: exports take latents only that halve as often as the denoiser does."""
        return self.scale << (len(self.unet.get("block_out_channels") or [0] * 4) - 1)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.vae.get("latent_channels", 4))

    @property
    def weights_gb(self) -> float:
        """GB (2**30 bytes) that the graphs' weights take in memory."""
        return sum(_size(graph) for graph in self.graphs.values()) / 2**30

    def working_gb(self, width: int, height: int) -> float:
        """GB that drawing takes beside the weights, for a picture of `width` x `height` pixels.

        The VAE's decoder decides: mini's took 240 MiB at 512x512, which is 15 of its first, largest feature maps.
        """
        channels = int((self.vae.get("block_out_channels") or [128])[0])
        return 15 * width * height * channels * 4 / 2**30


def read_folder(path: Path) -> OnnxFolder:
    """Look at a folder. Raises `ModelRefused` that names what is missing or damaged."""
    if not path.is_dir():
        raise ModelRefused(f"{path} is no folder")
    try:
        return _read(path)
    except ModelRefused:
        raise
    except Exception as error:  # whatever somebody wrote into a file: it is that model's trouble alone
        said = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise ModelRefused(f"{path.name} is not what it looks like ({said}); export it again") from error


def _read(path: Path) -> OnnxFolder:
    index = _stated(path / "model_index.json")
    xl = "XL" in str(index.get("_class_name", "")) or (path / "text_encoder_2").is_dir()
    parts = [part for part in _PLACES if xl or part != "text_encoder_2"]
    found = {part: _graph(path, part) for part in parts}
    missing = [part for part, graph in found.items() if graph is None and part not in _OPTIONAL]
    if missing:
        raise ModelRefused(f"{path.name} lacks {_PLACES[missing[0]][0]}; export it again")
    unet = _config(path, "unet")
    return OnnxFolder(
        path=path,
        graphs={part: graph for part, graph in found.items() if graph is not None},
        family=family_of(xl, unet.get("cross_attention_dim")),
        scheduler=read_json(path / "scheduler" / "scheduler_config.json"),
        unet=unet,
        vae=_config(path, "vae_decoder") or _config(path, "vae"),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises `ModelRefused`."""
    return json_files.read_json(path, advice="export the model again")


def files_of(graph: Path) -> list[Path]:
    """The graph's file and those beside it that it names as weights."""
    return [graph, *(graph.parent / name for name in _named(graph, graph.stat().st_mtime_ns))]


def _graph(folder: Path, part: str) -> Path | None:
    graph = next((folder / place for place in _PLACES[part] if os.path.lexists(folder / place)), None)
    if graph is not None:
        try:
            check_regular(graph)
        except OSError as error:
            raise ModelRefused(f"{graph.parent.name}/{graph.name} cannot be read: {error.strerror}") from error
    return graph


def _config(folder: Path, part: str) -> dict[str, Any]:
    config = _stated(folder / part / "config.json")
    widths = config.get(_WIDTHS)
    if widths is not None and not (isinstance(widths, list) and widths and all(type(each) is int for each in widths)):
        raise ModelRefused(f"{part}/config.json: '{_WIDTHS}' is no list of numbers; export the model again")
    return config


def _stated(path: Path) -> dict[str, Any]:
    """What a configuration says, where there is one."""
    return read_json(path) if os.path.lexists(path) else {}


@lru_cache(maxsize=256)
def _named(graph: Path, mtime_ns: int) -> tuple[str, ...]:
    """Names of weights in the graph: they stand in it as plain text. Kept while the graph stays as it is."""
    if graph.stat().st_size > _MAX_SCANNED:
        return ()
    content = graph.read_bytes()
    beside = (each.name for each in graph.parent.iterdir() if each != graph and not is_bystander(each.name))
    named = (name for name in beside if os.fsencode(name) in content)
    return tuple(sorted(name for name in named if (graph.parent / name).is_file()))


def _size(graph: Path) -> float:
    """Bytes of its weights in memory. Those shared with torch are stored in half of what they are computed in."""
    return sum(file.stat().st_size * (2 if file.suffix == ".safetensors" else 1) for file in files_of(graph))
