"""Checkpoints: what one is, and whether it may be loaded. Reads JSON and safetensors headers only, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, Literal

from visioncraft_local_sd.safety import PICKLES, CheckpointRefused, check_folder, check_single_file, read_json

Family = Literal["sd1", "sd2", "sdxl"]
Prediction = Literal["auto", "epsilon", "v_prediction"]

INPAINTING_CHANNELS = 9
"""What a denoiser for inpainting reads: noisy latents, the mask, and what the mask leaves of the picture."""

_DATA = Path(__file__).parent / "data"
_STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}  # others are transformers' `model`
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

    Parameters
    ----------
    path: The diffusers folder or the single `.safetensors` file.
    family: `sd1`, `sd2` or `sdxl`.
    config_folder: Where its components' `config.json` are: `path` itself, or this package for a single file.
    variant: The weights' variant to load (`fp16`) where only that one is there.
    parameters: Numbers of parameters by component.
    prediction_type: What the denoiser predicts; None where its own configuration says so.
    zero_terminal_snr: Whether its noise schedule ends in pure noise.
    inpaints: Whether its denoiser also reads a mask and what the mask leaves, 9 channels in all.
    vae: The file or folder of another VAE, which settings have it draw with.
    """

    path: Path
    family: Family
    config_folder: Path
    variant: str | None
    parameters: Mapping[str, int]
    prediction_type: str | None = None
    zero_terminal_snr: bool = False
    inpaints: bool = False
    vae: Path | None = None

    @property
    def single_file(self) -> bool:
        """Whether this is one `.safetensors` file in the original layout."""
        return self.path != self.config_folder

    @property
    def upcasts_vae(self) -> bool:
        """Whether its VAE overflows fp16, as XL's first one does."""
        return self.family == "sdxl" and bool(self.config("vae").get("force_upcast"))

    def config(self, component: str) -> dict[str, Any]:
        """A component's configuration as diffusers or transformers reads it."""
        return read_json(self.config_folder / component / "config.json")


def read_checkpoint(path: Path, prediction: Prediction = "auto") -> Checkpoint:
    """Look at a checkpoint without loading it. Raises `CheckpointRefused`, naming the file and what to do."""
    path = path.expanduser()
    try:
        if path.is_dir():
            return _read_folder(path, prediction)
        if path.is_file():
            return _read_single_file(path, prediction)
    except OSError as error:
        raise CheckpointRefused(f"{path} cannot be read: {error.strerror}") from error
    raise CheckpointRefused(f"{path} does not exist")


def _read_folder(folder: Path, prediction: Prediction) -> Checkpoint:
    index = check_folder(folder)
    xl = index["_class_name"].startswith("StableDiffusionXL")
    encoders = ["text_encoder", "text_encoder_2"] if xl else ["text_encoder"]
    for part in (*encoders, *(name.replace("text_encoder", "tokenizer") for name in encoders), "scheduler"):
        if not (folder / part).is_dir() or not isinstance(index.get(part), list):
            raise CheckpointRefused(f"{folder.name} lacks its {part}")
    found = {part: _weights(folder / part) for part in ("unet", "vae", *encoders)}
    unet = read_json(folder / "unet" / "config.json")
    context, channels = unet.get("cross_attention_dim"), unet.get("in_channels", 4)
    if channels not in (4, INPAINTING_CHANNELS):
        raise CheckpointRefused(
            f"{folder.name} has a denoiser of {channels} channels; known here: 4 and {INPAINTING_CHANNELS}"
        )
    return Checkpoint(
        path=folder,
        family="sdxl" if xl else "sd2" if context == 1024 else "sd1",
        config_folder=folder,
        variant="fp16" if any(variant for variant, _ in found.values()) else None,
        parameters={part: count for part, (_, count) in found.items()},
        prediction_type=None if prediction == "auto" else prediction,
        inpaints=channels == INPAINTING_CHANNELS,
    )


def _weights(component: Path) -> tuple[str | None, int]:
    """The variant of a component's weights, and how many parameters they have."""
    stem = _STEMS.get(component.name, "model")
    for variant, infix in ((None, ""), ("fp16", ".fp16")):
        single = component / f"{stem}{infix}.safetensors"
        shards = sorted(component.glob(f"{stem}{infix}-*-of-*.safetensors"))
        files = [single] if single.is_file() else shards
        if files:
            return variant, sum(sum(_shapes(file).values()) for file in files)
    pickles = sorted(file.name for file in component.glob("*") if file.suffix.lower() in PICKLES)
    if pickles:
        raise CheckpointRefused(
            f"{component.name}/{pickles[0]} is a pickle, which can run code; convert it to .safetensors"
        )
    raise CheckpointRefused(f"{component.name}/{stem}.safetensors is missing")


def _read_single_file(path: Path, prediction: Prediction) -> Checkpoint:
    check_single_file(path)
    shapes = tensor_shapes(path)
    family = _family(path.name, shapes)
    parameters = dict.fromkeys(("unet", "vae", "text_encoder"), 0)
    for key, shape in shapes.items():
        component = next((name for prefix, name in _PREFIXES.items() if key.startswith(prefix)), None)
        if component:
            parameters[component] = parameters.get(component, 0) + prod(shape)
    absent = [component for component, count in parameters.items() if count == 0]
    if absent:
        raise CheckpointRefused(f"{path.name} has no {' and no '.join(absent)}; it is not a whole checkpoint")
    stated = "v_prediction" if "v_pred" in shapes else None
    return Checkpoint(
        path=path,
        family=family,
        config_folder=_DATA / family,
        variant=None,
        parameters=parameters,
        prediction_type=stated if prediction == "auto" else prediction,
        zero_terminal_snr="ztsnr" in shapes,
        inpaints=shapes[_FIRST][1] == INPAINTING_CHANNELS,
    )


def _family(name: str, shapes: Mapping[str, tuple[int, ...]]) -> Family:
    first = shapes.get(_FIRST)
    if first is None:
        raise CheckpointRefused(f"{name} is not a Stable Diffusion checkpoint in the original layout (a LoRA, a VAE?)")
    if first[1] not in (4, INPAINTING_CHANNELS):
        raise CheckpointRefused(f"{name} is a checkpoint for editing by instruction; this draws from text and masks")
    if _XL_PROBE in shapes:
        return "sdxl"
    if any(key.startswith("conditioner.embedders.0.model.") for key in shapes):
        raise CheckpointRefused(f"{name} is an SDXL refiner, which only finishes another model's pictures")
    return "sd2" if shapes.get(_V2_PROBE, (0,))[-1] == 1024 else "sd1"


def _shapes(path: Path) -> dict[str, int]:
    return {key: prod(shape) for key, shape in tensor_shapes(path).items()}


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a safetensors file. Raises `CheckpointRefused`."""
    stat = path.stat()
    return _read_header(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read_header(path: Path, mtime_ns: int, size: int) -> dict[str, tuple[int, ...]]:
    """Kept while the file stays as it is: `/models` asks every time."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointRefused(f"{path.name} is damaged or no safetensors file ({error}); fetch it again") from error
