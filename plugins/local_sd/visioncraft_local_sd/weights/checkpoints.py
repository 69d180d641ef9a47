"""Checkpoints: what one is, and whether it may be loaded. Reads JSON and safetensors headers only, without torch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import Any, Literal

from visioncraft import state_of
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.families import Family as Name, family_of

from visioncraft_local_sd.families.family import UNKNOWN, Edition, Family
from visioncraft_local_sd.families.stable_diffusion import INPAINTING_CHANNELS, edition_of
from visioncraft_local_sd.families.table import FAMILIES, PIPELINES, recognised
from visioncraft_local_sd.weights.components import Found, component_files
from visioncraft_local_sd.weights.headers import Shapes, read_header, side
from visioncraft_local_sd.weights.safety import CheckpointRefused, check_index, check_single_file, read_json, refused

Prediction = Literal["auto", "epsilon", "v_prediction"]

_DATA = Path(__file__).parents[1] / "data"
_V2_PROBE = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_FIRST = "model.diffusion_model.input_blocks.0.0.weight"
_XL_PROBE = "conditioner.embedders.1.model.ln_final.weight"
_PREFIXES = {
    "model.diffusion_model.": "unet",
    "first_stage_model.": "vae",
    "cond_stage_model.": "text_encoder",
    "conditioner.embedders.0.": "text_encoder",
    "conditioner.embedders.1.": "text_encoder_2",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that passed every check.

    Args:
        path: The diffusers folder or the single `.safetensors` file.
        family: Its family's name: `sdxl`.
        config_folder: Where its components' `config.json` are: `path` itself, or this package for a single file.
        variant: The weights' variant (`fp16`) where they are there in that one alone.
        parameters: Numbers of parameters by component.
        prediction_type: What the denoiser predicts; None where its own configuration says so.
        zero_terminal_snr: Whether its noise schedule ends in pure noise.
        inpaints: Whether its denoiser also reads a mask and what the mask leaves, 9 channels in all.
        vae: The file or folder of another VAE, which settings have it draw with.
        files: Of a folder, the files that are loaded, by the paths that diffusers knows them by. All else in it is none
            of the model's.
        title: What its maker calls it; empty where the file does not say.
        edition: Which of its family's models it is.
    """

    path: Path
    family: str
    config_folder: Path
    variant: str | None
    parameters: Mapping[str, int]
    prediction_type: str | None = None
    zero_terminal_snr: bool = False
    inpaints: bool = False
    vae: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    title: str = ""
    edition: Edition = UNKNOWN

    @property
    def kind(self) -> Family:
        """Its family."""
        return FAMILIES[self.family]

    @property
    def single_file(self) -> bool:
        """Whether this is one `.safetensors` file in the original layout."""
        return self.path != self.config_folder

    @property
    def upcasts_vae(self) -> bool:
        """Whether its VAE overflows fp16, as SDXL's first one does."""
        return self.kind.vae_overflows and bool(self.config("vae").get("force_upcast"))

    def config(self, component: str) -> dict[str, Any]:
        """A component's configuration as diffusers or transformers reads it."""
        return read_json(self.config_folder / component / "config.json")


def read_checkpoint(path: Path, prediction: Prediction = "auto") -> Checkpoint:
    """Look at a checkpoint without loading it. Raises `CheckpointRefused`, naming the file and what to do about it."""
    path = path.expanduser()
    state = state_of(path)
    if state is None:
        raise CheckpointRefused(f"{path} does not exist, or cannot be looked at")
    try:
        return _read(path, prediction, state)
    except Exception as error:  # whatever somebody wrote into a file: it is that file's trouble alone
        raise refused(path, error) from error


@lru_cache(maxsize=256)
def _read(path: Path, prediction: Prediction, state: Hashable) -> Checkpoint:
    """Kept while its files stay as they are."""
    return _read_folder(path, prediction) if path.is_dir() else _read_single_file(path, prediction)


def _read_folder(folder: Path, prediction: Prediction) -> Checkpoint:
    index = check_index(folder)
    found = _components(folder, index)
    family, edition = _recognised(folder, index)
    variants = sorted({each.variant for each in found.values() if each.variant})
    return Checkpoint(
        path=folder,
        family=family.name,
        config_folder=folder,
        variant=variants[0] if variants else None,
        parameters={part: found[part].parameters for part in family.networks},
        prediction_type=None if prediction == "auto" else prediction,
        inpaints=_config(folder, family.denoiser).get("in_channels") == INPAINTING_CHANNELS,
        files=_files_of(folder, found),
        edition=edition,
    )


def _recognised(folder: Path, index: Mapping[str, Any]) -> tuple[Family, Edition]:
    try:
        return recognised(index, partial(_config, folder))
    except CheckpointRefused:
        raise
    except ModelRefused as reason:
        raise CheckpointRefused(f"{folder.name} {reason}") from None


def _components(folder: Path, index: Mapping[str, Any]) -> dict[str, Found]:
    """The files of every component. Raises `CheckpointRefused` that names one that is missing."""
    components = PIPELINES[index["_class_name"]]
    for part in components:
        if not (folder / part).is_dir() or not isinstance(index.get(part), list):
            raise CheckpointRefused(f"{folder.name} lacks its {part}")
    return {part: component_files(folder / part) for part in components}


def _config(folder: Path, part: str) -> dict[str, Any]:
    file = "scheduler_config.json" if part == "scheduler" else "config.json"
    return read_json(folder / part / file)


def _files_of(folder: Path, found: Mapping[str, Found]) -> dict[str, Path]:
    inside = {f"{part}/{name}": file for part, each in found.items() for name, file in each.files.items()}
    return {"model_index.json": folder / "model_index.json", **inside}


def _read_single_file(path: Path, prediction: Prediction) -> Checkpoint:
    check_single_file(path)
    header = read_header(path)
    family = _family(path.name, header.shapes)
    return Checkpoint(
        path=path,
        family=family,
        config_folder=_DATA / family,
        variant=None,
        parameters=_parameters(path.name, header.shapes),
        prediction_type=header.prediction(path.name) if prediction == "auto" else prediction,
        zero_terminal_snr="ztsnr" in header.shapes,
        inpaints=side(header.shapes, _FIRST, 1, path.name) == INPAINTING_CHANNELS,
        title=header.title,
        edition=edition_of(family),
    )


def _parameters(name: str, shapes: Shapes) -> dict[str, int]:
    parameters = dict.fromkeys(("unet", "vae", "text_encoder"), 0)
    for key, shape in shapes.items():
        component = next((part for prefix, part in _PREFIXES.items() if key.startswith(prefix)), None)
        if component:
            parameters[component] = parameters.get(component, 0) + prod(shape)
    absent = [component for component, count in parameters.items() if count == 0]
    if absent:
        raise CheckpointRefused(f"{name} has no {' and no '.join(absent)}; it is not a whole checkpoint")
    return parameters


def _family(name: str, shapes: Shapes) -> Name:
    if _FIRST not in shapes:
        raise CheckpointRefused(f"{name} is not a Stable Diffusion checkpoint in the original layout (a LoRA, a VAE?)")
    if side(shapes, _FIRST, 1, name) not in (4, INPAINTING_CHANNELS):
        raise CheckpointRefused(f"{name} is a checkpoint for editing by instruction; this draws from text and masks")
    if _XL_PROBE in shapes:
        return "sdxl"
    if any(key.startswith("conditioner.embedders.0.model.") for key in shapes):
        raise CheckpointRefused(f"{name} is an SDXL refiner, which only finishes another model's pictures")
    return family_of(False, side(shapes, _V2_PROBE, -1, name) if _V2_PROBE in shapes else None)
