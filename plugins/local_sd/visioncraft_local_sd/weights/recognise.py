"""What a file of weights is, told from the names and shapes of its tensors. Its own name says nothing.

The layouts are those of the programs that write such files: CompVis' checkpoints, kohya-ss', LyCORIS' and PEFT's LoRAs,
lllyasviel's and diffusers' ControlNets, AUTOMATIC1111's and diffusers' textual inversions, and the networks that
spandrel lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from visioncraft import is_bystander
from visioncraft_diffusion.families import family_of_context, family_of_word

from visioncraft_local_sd.weights.adapters import is_adapter, way_of
from visioncraft_local_sd.weights.checkpoints import Checkpoint, read_checkpoint
from visioncraft_local_sd.weights.components import DIFFUSERS_STEM, component_files
from visioncraft_local_sd.weights.headers import Shapes, tensor_shapes
from visioncraft_local_sd.weights.safety import CheckpointRefused, check_single_file, read_json, refused

Kind = Literal["checkpoint", "lora", "controlnet", "embedding", "vae", "upscaler"]

FOLDERS: Mapping[Kind, str] = {
    "checkpoint": "",
    "lora": "loras",
    "controlnet": "controlnets",
    "embedding": "embeddings",
    "vae": "vaes",
    "upscaler": "upscalers",
}
"""Where each kind lies in the folder of models."""

_LORA_INPUTS = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_b")
_CONTROL_MARKS = ("control_model.input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight")
_UPSCALER_MARKS = ("conv_first.weight", "model.0.weight", "body.0.weight", "initial.weight", "upsampler.0.weight")
_CLASSES: Mapping[str, Kind] = {"ControlNetModel": "controlnet", "AutoencoderKL": "vae"}


@dataclass(frozen=True, slots=True)
class Recognised:
    """What weights are.

    Args:
        kind: What they are for.
        base: The family they are, or belong to: `sd1`, `sd2`, `sdxl`; empty where nothing says or any will do.
        detail: A word more for people, as `inpainting`.
    """

    kind: Kind
    base: str = ""
    detail: str = ""


def recognise(path: Path) -> Recognised:
    """What a `.safetensors` file or a diffusers folder is. Raises `CheckpointRefused` for anything else.

    Raises `FileNotFoundError` for what was removed while it was looked at.
    """
    if not path.exists():
        raise CheckpointRefused(f"{path} does not exist")
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever somebody wrote into a file: it is that file's trouble alone
        raise refused(path, error) from error


def _file(path: Path) -> Recognised:
    check_single_file(path)
    shapes = tensor_shapes(path)
    if any(key.startswith("model.diffusion_model.") for key in shapes):
        return _whole(read_checkpoint(path))
    found = _lora(path, shapes) or _controlnet(shapes) or _embedding(shapes) or _vae(shapes) or _upscaler(shapes)
    if found is None:
        raise CheckpointRefused(f"{path.name} is none of: {', '.join(FOLDERS)}; nothing here can use it")
    return found


def _folder(path: Path) -> Recognised:
    if (path / "model_index.json").exists():
        return _whole(read_checkpoint(path))
    config = read_json(path / "config.json")
    kind = _CLASSES.get(str(config.get("_class_name")))
    weights = [file for file in path.glob("*.safetensors") if not is_bystander(file.name)]
    if kind is None or not weights:
        raise CheckpointRefused(f"{path.name} is no diffusers folder of a model, a ControlNet or a VAE in safetensors")
    component_files(path, DIFFUSERS_STEM)
    return Recognised(kind, family_of_context(config.get("cross_attention_dim")))


def _whole(checkpoint: Checkpoint) -> Recognised:
    words = ("inpainting" if checkpoint.inpaints else "", checkpoint.variant or "")
    return Recognised("checkpoint", checkpoint.family, " ".join(filter(None, words)))


def _lora(path: Path, shapes: Shapes) -> Recognised | None:
    if not is_adapter(shapes):
        return None
    way = way_of(path, shapes)
    detail = "" if way == "LoRA" else way
    if any("lora_te2_" in key or key.startswith("text_encoder_2.") for key in shapes):
        return Recognised("lora", "sdxl", detail)
    inputs = (
        shape[1]
        for key, shape in shapes.items()
        if key.endswith(_LORA_INPUTS) and "attn2" in key and "to_k" in key and len(shape) > 1
    )
    return Recognised("lora", family_of_context(next(inputs, 0)), detail)


def _controlnet(shapes: Shapes) -> Recognised | None:
    if not any(mark in shapes for mark in _CONTROL_MARKS):
        return None
    contexts = (shape[-1] for key, shape in shapes.items() if shape and key.endswith("attn2.to_k.weight"))
    return Recognised("controlnet", family_of_context(next(contexts, 0)))


def _embedding(shapes: Shapes) -> Recognised | None:
    """One matrix of words, or two for XL, and little else."""
    if {"clip_l", "clip_g"} <= set(shapes):
        return Recognised("embedding", "sdxl")
    words = shapes.get("emb_params") or (next(iter(shapes.values())) if len(shapes) == 1 else None)
    if words is None or len(words) not in (1, 2):
        return None
    return Recognised("embedding", family_of_word(words[-1]))


def _vae(shapes: Shapes) -> Recognised | None:
    keys = {key.removeprefix("first_stage_model.") for key in shapes}
    return Recognised("vae") if {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= keys else None


def _upscaler(shapes: Shapes) -> Recognised | None:
    keys = {key.removeprefix("params_ema.").removeprefix("params.") for key in shapes}
    return Recognised("upscaler") if keys & set(_UPSCALER_MARKS) else None
