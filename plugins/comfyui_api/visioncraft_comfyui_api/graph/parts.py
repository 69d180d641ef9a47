"""Nodes that load models and what belongs to them, and that turn words into conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visioncraft import LoRA

from visioncraft_comfyui_api.graph.errors import NodeRefused
from visioncraft_comfyui_api.graph.spec import Given, NodeClass, link, listed, number, one_of, text, whole
from visioncraft_comfyui_api.graph.values import Clip, Conditioning, Control, Model, Named, Vae

_OWN_ENCODERS = "the model's own text encoders read the prompt, and not {}"
_OWN_VAE = "the model's own autoencoder decodes the image, and not {}"
_SHIFT = "{} is left out: the model keeps the shift of its own schedule"


def _checkpoint(given: Given) -> tuple[Any, ...]:
    name = str(given["ckpt_name"])
    return Model(name, (given.node, "ckpt_name")), Clip(name), Vae()


def _unet(given: Given) -> tuple[Any, ...]:
    return (Model(str(given["unet_name"]), (given.node, "unet_name")),)


def _encoders(given: Given) -> tuple[Any, ...]:
    names = " and ".join(str(value) for name, value in given.inputs.items() if name.startswith("clip_name"))
    return (Clip(warnings=(_OWN_ENCODERS.format(names),)),)


def _vae(given: Given) -> tuple[Any, ...]:
    return (Vae((_OWN_VAE.format(given["vae_name"]),)),)


def _lora(given: Given) -> tuple[Any, ...]:
    weight = float(given["strength_model"])
    model: Model = replace(given["model"], loras=(*given["model"].loras, LoRA(str(given["lora_name"]), weight)))
    if given["clip"] is None:
        return (model,)
    if given["strength_clip"] != weight:
        other = f"and not {given['strength_clip']:g}"
        told = f"{given['lora_name']} has the weight {weight:g} in the text encoder too, {other}"
        model = replace(model, warnings=(*model.warnings, told))
    return model, given["clip"]


def _last_layer(given: Given) -> tuple[Any, ...]:
    return (replace(given["clip"], skip=-int(given["stop_at_clip_layer"])),)


def _shifted(given: Given) -> tuple[Any, ...]:
    told = _SHIFT.format(f"node {given.node}")
    return (replace(given["model"], warnings=(*given["model"].warnings, told)),)


def _encode(given: Given) -> tuple[Any, ...]:
    return (Conditioning(str(given["text"]), given.node, given["clip"]),)


def _encode_flux(given: Given) -> tuple[Any, ...]:
    said = str(given["t5xxl"]) or str(given["clip_l"])
    return (Conditioning(said, given.node, given["clip"], (given.node, float(given["guidance"]))),)


def _guidance(given: Given) -> tuple[Any, ...]:
    return (replace(given["conditioning"], guidance=(given.node, float(given["guidance"]))),)


def _nothing(given: Given) -> tuple[Any, ...]:
    return (replace(given["conditioning"], text="", guidance=None, control=None),)


def _control(given: Given, words: Conditioning) -> Conditioning:
    if words.control is not None and words.control.node != given.node:
        raise NodeRefused(
            given.node, "control_net", f"one ControlNet at a time; node {words.control.node} is one already"
        )
    net: Named = given["control_net"]
    return replace(words, control=Control(str(net.value), given["image"], float(given["strength"]), given.node))


def _apply(given: Given) -> tuple[Any, ...]:
    return (_control(given, given["conditioning"]),)


def _apply_advanced(given: Given) -> tuple[Any, ...]:
    return _control(given, given["positive"]), _control(given, given["negative"])


def _named(name: str) -> Any:
    return lambda given: (Named(given[name], given.node),)


_STRENGTH = number(1.0, -10.0, 10.0)
_ENCODER = listed("text_encoders", lenient=True)
_MODEL = {"MODEL": "MODEL"}
_CONDITIONING = {"CONDITIONING": "CONDITIONING"}

PARTS: dict[str, NodeClass] = {
    "CheckpointLoaderSimple": NodeClass(
        "Load Checkpoint",
        "loaders",
        {"ckpt_name": listed("checkpoints")},
        {"MODEL": "MODEL", "CLIP": "CLIP", "VAE": "VAE"},
        _checkpoint,
    ),
    "UNETLoader": NodeClass(
        "Load Diffusion Model",
        "advanced/loaders",
        {
            "unet_name": listed("checkpoints"),
            "weight_dtype": one_of("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
        },
        _MODEL,
        _unet,
    ),
    "CLIPLoader": NodeClass(
        "Load CLIP",
        "advanced/loaders",
        {
            "clip_name": _ENCODER,
            "type": replace(one_of("stable_diffusion", "sd3", "flux2", "qwen_image"), lenient=True),
        },
        {"CLIP": "CLIP"},
        _encoders,
    ),
    "DualCLIPLoader": NodeClass(
        "DualCLIPLoader",
        "advanced/loaders",
        {"clip_name1": _ENCODER, "clip_name2": _ENCODER, "type": replace(one_of("flux", "sdxl", "sd3"), lenient=True)},
        {"CLIP": "CLIP"},
        _encoders,
    ),
    "TripleCLIPLoader": NodeClass(
        "TripleCLIPLoader",
        "advanced/loaders",
        {"clip_name1": _ENCODER, "clip_name2": _ENCODER, "clip_name3": _ENCODER},
        {"CLIP": "CLIP"},
        _encoders,
    ),
    "VAELoader": NodeClass("Load VAE", "loaders", {"vae_name": listed("vae", lenient=True)}, {"VAE": "VAE"}, _vae),
    "LoraLoader": NodeClass(
        "Load LoRA",
        "loaders",
        {
            "model": link("MODEL"),
            "clip": link("CLIP"),
            "lora_name": listed("loras"),
            "strength_model": _STRENGTH,
            "strength_clip": _STRENGTH,
        },
        {"MODEL": "MODEL", "CLIP": "CLIP"},
        _lora,
    ),
    "LoraLoaderModelOnly": NodeClass(
        "LoraLoaderModelOnly",
        "loaders",
        {"model": link("MODEL"), "lora_name": listed("loras"), "strength_model": _STRENGTH},
        _MODEL,
        _lora,
    ),
    "CLIPSetLastLayer": NodeClass(
        "CLIP Set Last Layer",
        "conditioning",
        {"clip": link("CLIP"), "stop_at_clip_layer": whole(-1, -12, -1)},
        {"CLIP": "CLIP"},
        _last_layer,
    ),
    "ModelSamplingSD3": NodeClass(
        "ModelSamplingSD3",
        "advanced/model",
        {"model": link("MODEL"), "shift": number(3.0, 0.0, 100.0)},
        _MODEL,
        _shifted,
    ),
    "ModelSamplingAuraFlow": NodeClass(
        "ModelSamplingAuraFlow",
        "advanced/model",
        {"model": link("MODEL"), "shift": number(1.73, 0.0, 100.0)},
        _MODEL,
        _shifted,
    ),
    "ModelSamplingFlux": NodeClass(
        "ModelSamplingFlux",
        "advanced/model",
        {
            "model": link("MODEL"),
            "max_shift": number(1.15, 0.0, 100.0),
            "base_shift": number(0.5, 0.0, 100.0),
            "width": whole(1024, 16, 16384, 8),
            "height": whole(1024, 16, 16384, 8),
        },
        _MODEL,
        _shifted,
    ),
    "CLIPTextEncode": NodeClass(
        "CLIP Text Encode (Prompt)", "conditioning", {"text": text(), "clip": link("CLIP")}, _CONDITIONING, _encode
    ),
    "CLIPTextEncodeFlux": NodeClass(
        "CLIPTextEncodeFlux",
        "advanced/conditioning/flux",
        {"clip": link("CLIP"), "clip_l": text(), "t5xxl": text(), "guidance": number(3.5, 0.0, 100.0, 0.1)},
        _CONDITIONING,
        _encode_flux,
    ),
    "FluxGuidance": NodeClass(
        "FluxGuidance",
        "advanced/conditioning/flux",
        {"conditioning": link("CONDITIONING"), "guidance": number(3.5, 0.0, 100.0, 0.1)},
        _CONDITIONING,
        _guidance,
    ),
    "ConditioningZeroOut": NodeClass(
        "ConditioningZeroOut",
        "advanced/conditioning",
        {"conditioning": link("CONDITIONING")},
        _CONDITIONING,
        _nothing,
    ),
    "ControlNetLoader": NodeClass(
        "Load ControlNet Model",
        "loaders",
        {"control_net_name": listed("controlnet")},
        {"CONTROL_NET": "CONTROL_NET"},
        _named("control_net_name"),
    ),
    "ControlNetApply": NodeClass(
        "Apply ControlNet (OLD)",
        "conditioning/controlnet",
        {
            "conditioning": link("CONDITIONING"),
            "control_net": link("CONTROL_NET"),
            "image": link("IMAGE"),
            "strength": number(1.0, 0.0, 2.0),
        },
        _CONDITIONING,
        _apply,
    ),
    "ControlNetApplyAdvanced": NodeClass(
        "Apply ControlNet",
        "conditioning/controlnet",
        {
            "positive": link("CONDITIONING"),
            "negative": link("CONDITIONING"),
            "control_net": link("CONTROL_NET"),
            "image": link("IMAGE"),
            "strength": number(1.0, 0.0, 2.0),
            "start_percent": number(0.0, 0.0, 0.0, 0.001),
            "end_percent": number(1.0, 1.0, 1.0, 0.001),
            "vae": link("VAE", optional=True),
        },
        {"positive": "CONDITIONING", "negative": "CONDITIONING"},
        _apply_advanced,
    ),
    "UpscaleModelLoader": NodeClass(
        "Load Upscale Model",
        "loaders",
        {"model_name": listed("upscale_models")},
        {"UPSCALE_MODEL": "UPSCALE_MODEL"},
        _named("model_name"),
    ),
}
"""Loaders and conditioning. A model here brings its own text encoders and autoencoder, so loaders of those are taken,
as every Flux graph has them, and told of in a warning."""
