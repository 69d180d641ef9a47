"""Nodes of images, masks and latents: where a drawing begins, and what becomes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from visioncraft import LANCZOS

from visioncraft_comfyui_api.graph.errors import NodeRefused
from visioncraft_comfyui_api.graph.spec import Given, Input, NodeClass, link, listed, number, one_of, text, whole
from visioncraft_comfyui_api.graph.values import Canvas, Drawing, Drawn, Encoded, Enlarged, Image, Loaded, Named, Region

MOST_IMAGES = 16
"""Of one graph: as many as a request may ask for."""

_METHODS = (LANCZOS, "nearest-exact", "bilinear", "area", "bicubic", "bislerp")
_FACTOR = re.compile(r"(?<![0-9])([1-8])x(?![a-z])|x([1-8])(?![0-9])")


def _empty(given: Given) -> tuple[Any, ...]:
    return (Canvas(int(given["width"]), int(given["height"]), int(given["batch_size"]), given.node),)


def _load(given: Given) -> tuple[Any, ...]:
    name = str(given["image"])
    return Loaded(name, given.node), Region(name, given.node, "alpha")


def _load_mask(given: Given) -> tuple[Any, ...]:
    return (Region(str(given["image"]), given.node, "alpha" if given["channel"] == "alpha" else "grey"),)


def _to_mask(given: Given) -> tuple[Any, ...]:
    image = _loaded(given, "image")
    return (Region(image.name, image.node, "grey"),)


def _invert_mask(given: Given) -> tuple[Any, ...]:
    return (replace(given["mask"], invert=not given["mask"].invert),)


def _grow_mask(given: Given) -> tuple[Any, ...]:
    return (replace(given["mask"], grow=given["mask"].grow + int(given["expand"])),)


def _loaded(given: Given, name: str) -> Loaded:
    image = given[name]
    if not isinstance(image, Loaded):
        raise NodeRefused(given.node, name, "takes an image from LoadImage, not one that this graph draws")
    return image


def _encode(given: Given) -> tuple[Any, ...]:
    image = given["pixels"]
    if isinstance(image, Image) and isinstance(image.source, Drawing):  # a second pass over what was enlarged
        return (Drawn(image.source, image.enlarged),)
    return (Encoded(_loaded(given, "pixels"), given.node, warnings=given["vae"].warnings),)


def _encode_for_inpaint(given: Given) -> tuple[Any, ...]:
    mask: Region = replace(given["mask"], grow=given["mask"].grow + int(given["grow_mask_by"]))
    return (Encoded(_loaded(given, "pixels"), given.node, mask, warnings=given["vae"].warnings),)


def _masked(given: Given) -> tuple[Any, ...]:
    if not isinstance(given["samples"], Encoded):
        raise NodeRefused(given.node, "samples", "a mask needs an image to start from: LoadImage, then VAEEncode")
    return (replace(given["samples"], mask=given["mask"]),)


def _repeated(given: Given) -> tuple[Any, ...]:
    start = given["samples"]
    if not isinstance(start, Canvas | Encoded):
        raise NodeRefused(given.node, "samples", "repeats what a drawing begins with, not what was drawn")
    count = start.count * int(given["amount"])
    if count > MOST_IMAGES:
        raise NodeRefused(given.node, "amount", f"at most {MOST_IMAGES} images of one graph, not {count}")
    return (replace(start, count=count),)


def _enlarged_latent(given: Given) -> tuple[Any, ...]:
    start = given["samples"]
    if not isinstance(start, Drawn) or start.enlarged is not None:
        raise NodeRefused(given.node, "samples", "enlarges what one sampler has drawn, for a second one to draw over")
    return (replace(start, enlarged=_by(given, given.node, None)),)


def _by(given: Given, node: str, upscaler: str | None) -> Enlarged:
    if given["scale_by"] is not None:
        return Enlarged(node, None, float(given["scale_by"]), upscaler)
    width, height = int(given["width"]), int(given["height"])
    if not width or not height:
        raise NodeRefused(node, "width" if not width else "height", "a size in pixels; 0 is not worked out here")
    return Enlarged(node, (width, height), 1.0, upscaler)


def _decode(given: Given) -> tuple[Any, ...]:
    drawn = given["samples"]
    if not isinstance(drawn, Drawn):
        raise NodeRefused(given.node, "samples", "decodes what a sampler has drawn; there is none before it")
    if drawn.enlarged is not None:
        raise NodeRefused(
            given.node, "samples", f"node {drawn.enlarged.node} enlarges latents that no sampler draws over"
        )
    return (Image(drawn.drawing, warnings=given["vae"].warnings),)


def _scaled(given: Given) -> tuple[Any, ...]:
    image = given["image"]
    if isinstance(image, Loaded):
        if given["scale_by"] is not None:
            raise NodeRefused(given.node, "image", "a loaded image takes its size from ImageScale, in pixels")
        by = _by(given, given.node, None)
        return (replace(image, size=by.size, cropped=given["crop"] == "center"),)
    method = str(given["upscale_method"])
    told = () if method == LANCZOS else (f"node {given.node} enlarges with {LANCZOS}, and not with {method}",)
    before: Enlarged | None = image.enlarged
    by = _by(given, given.node, before.upscaler if before else LANCZOS)
    if before is not None and by.size is None:
        by = replace(by, size=before.size, factor=by.factor * before.factor)
    return (replace(image, enlarged=by, warnings=(*image.warnings, *(() if before else told))),)


def _upscaled(given: Given) -> tuple[Any, ...]:
    image, model = given["image"], given["upscale_model"]
    if isinstance(image, Image) and image.enlarged is not None:
        raise NodeRefused(
            given.node, "image", f"node {image.enlarged.node} has enlarged it already; once is what there is"
        )
    source = image.source if isinstance(image, Image) else image
    own = Enlarged(given.node, None, native_factor(str(model.value)), str(model.value))
    return (Image(source, own, image.warnings if isinstance(image, Image) else ()),)


def native_factor(name: str) -> float:
    """By how much an upscaler enlarges by itself, as its name tells: `4x-UltraSharp`, `RealESRGAN_x2plus`; else 4."""
    found = _FACTOR.search(name.lower())
    return float(found[1] or found[2]) if found else 4.0


def _saved(given: Given) -> tuple[Any, ...]:
    image = given["images"]
    if not isinstance(image, Image):
        raise NodeRefused(given.node, "images", "nothing of this graph is drawn: the image is one that was loaded")
    return (image, Named(str(given["filename_prefix"] or ""), given.node))


_LATENT, _IMAGE, _MASK = {"LATENT": "LATENT"}, {"IMAGE": "IMAGE"}, {"MASK": "MASK"}
_SIDE = whole(512, 16, 16384, 8)
_HIDDEN = ("prompt", "extra_pnginfo")


def _empty_class(title: str, category: str, side: int) -> NodeClass:
    sides: Input = whole(side, 16, 16384, 8)
    inputs = {"width": sides, "height": sides, "batch_size": whole(1, 1, MOST_IMAGES)}
    return NodeClass(title, category, inputs, _LATENT, _empty)


IMAGES: dict[str, NodeClass] = {
    "EmptyLatentImage": _empty_class("Empty Latent Image", "latent", 512),
    "EmptySD3LatentImage": _empty_class("EmptySD3LatentImage", "latent/sd3", 1024),
    "LoadImage": NodeClass("Load Image", "image", {"image": listed("images")}, {**_IMAGE, **_MASK}, _load),
    "LoadImageMask": NodeClass(
        "Load Image (as Mask)",
        "mask",
        {"image": listed("images"), "channel": one_of("alpha", "red", "green", "blue")},
        _MASK,
        _load_mask,
    ),
    "ImageToMask": NodeClass(
        "Convert Image to Mask",
        "mask",
        {"image": link("IMAGE"), "channel": one_of("red", "green", "blue")},
        _MASK,
        _to_mask,
    ),
    "InvertMask": NodeClass("InvertMask", "mask", {"mask": link("MASK")}, _MASK, _invert_mask),
    "GrowMask": NodeClass(
        "GrowMask",
        "mask",
        {"mask": link("MASK"), "expand": whole(0, 0, 256), "tapered_corners": Input("BOOLEAN", True)},
        _MASK,
        _grow_mask,
    ),
    "VAEEncode": NodeClass("VAE Encode", "latent", {"pixels": link("IMAGE"), "vae": link("VAE")}, _LATENT, _encode),
    "VAEEncodeForInpaint": NodeClass(
        "VAE Encode (for Inpainting)",
        "latent/inpaint",
        {"pixels": link("IMAGE"), "vae": link("VAE"), "mask": link("MASK"), "grow_mask_by": whole(6, 0, 64)},
        _LATENT,
        _encode_for_inpaint,
    ),
    "SetLatentNoiseMask": NodeClass(
        "Set Latent Noise Mask", "latent/inpaint", {"samples": link("LATENT"), "mask": link("MASK")}, _LATENT, _masked
    ),
    "RepeatLatentBatch": NodeClass(
        "Repeat Latent Batch",
        "latent/batch",
        {"samples": link("LATENT"), "amount": whole(1, 1, MOST_IMAGES)},
        _LATENT,
        _repeated,
    ),
    "LatentUpscale": NodeClass(
        "Upscale Latent",
        "latent",
        {
            "samples": link("LATENT"),
            "upscale_method": one_of(*_METHODS[1:]),
            "width": whole(512, 0, 16384, 8),
            "height": whole(512, 0, 16384, 8),
            "crop": one_of("disabled", "center"),
        },
        _LATENT,
        _enlarged_latent,
    ),
    "LatentUpscaleBy": NodeClass(
        "Upscale Latent By",
        "latent",
        {"samples": link("LATENT"), "upscale_method": one_of(*_METHODS[1:]), "scale_by": number(1.5, 0.01, 8.0)},
        _LATENT,
        _enlarged_latent,
    ),
    "VAEDecode": NodeClass("VAE Decode", "latent", {"samples": link("LATENT"), "vae": link("VAE")}, _IMAGE, _decode),
    "VAEDecodeTiled": NodeClass(
        "VAE Decode (Tiled)",
        "_for_testing",
        {"samples": link("LATENT"), "vae": link("VAE"), "tile_size": whole(512, 64, 4096, 32)},
        _IMAGE,
        _decode,
    ),
    "ImageScale": NodeClass(
        "Upscale Image",
        "image/upscaling",
        {
            "image": link("IMAGE"),
            "upscale_method": one_of(*_METHODS[:5]),
            "width": whole(512, 0, 16384),
            "height": whole(512, 0, 16384),
            "crop": one_of("disabled", "center"),
        },
        _IMAGE,
        _scaled,
    ),
    "ImageScaleBy": NodeClass(
        "Upscale Image By",
        "image/upscaling",
        {"image": link("IMAGE"), "upscale_method": one_of(*_METHODS[:5]), "scale_by": number(1.0, 0.01, 8.0)},
        _IMAGE,
        _scaled,
    ),
    "ImageUpscaleWithModel": NodeClass(
        "Upscale Image (using Model)",
        "image/upscaling",
        {"upscale_model": link("UPSCALE_MODEL"), "image": link("IMAGE")},
        _IMAGE,
        _upscaled,
    ),
    "SaveImage": NodeClass(
        "Save Image",
        "image",
        {"images": link("IMAGE"), "filename_prefix": text("ComfyUI")},
        {},
        _saved,
        "output",
        _HIDDEN,
    ),
    "PreviewImage": NodeClass("Preview Image", "image", {"images": link("IMAGE")}, {}, _saved, "temp", _HIDDEN),
    "SaveImageWebsocket": NodeClass("SaveImageWebsocket", "api/image", {"images": link("IMAGE")}, {}, _saved, "socket"),
}
"""Images, masks and latents."""
