"""The images of img2img: what to start from, and a mask of what is drawn anew."""

from __future__ import annotations

from typing import Any

from visioncraft import LANCZOS, Fit, FittedImage, InvalidRequest, Mask

from visioncraft_a1111_api.bodies import Body

_FITS: tuple[Fit, ...] = ("stretch", "crop", "pad", "stretch")
"""By `resize_mode`: just resize, crop and resize, resize and fill, just resize the latents."""
_STRENGTH = 0.75
_MAX_BLUR = 256.0


def image_in(value: object, field: str) -> str:
    """Returns an image as a client sends it: a text, or an object that holds one.

    Raises:
        InvalidRequest: It is neither.
    """
    found = value.get("image") if isinstance(value, dict) else value
    if not isinstance(found, str) or not found:
        raise InvalidRequest.of(field, "base64 of a PNG, JPEG or WebP image, or a data: URL of one")
    return found


def start_of(body: Body, told: list[str]) -> str:
    """Finds the image that is drawn over.

    Args:
        body: The request.
        told: Hears of further images.

    Raises:
        InvalidRequest: There is none.
    """
    images = body.items("init_images")
    if not images:
        raise InvalidRequest.of("init_images", "a list with an image to start from")
    if len(images) > 1:
        told.append(f"the first of {len(images)} images is drawn over; send the others by themselves")
    return image_in(images[0], "init_images")


def fields(body: Body, start: str, steps: int, told: list[str]) -> dict[str, Any]:
    """Reads what is drawn anew, and how much.

    Args:
        body: The request.
        start: The image to start from.
        steps: Denoising steps asked for.
        told: Hears of what is not done as asked.
    """
    fit = _fit(body, told)
    found: dict[str, Any] = {"init_image": FittedImage(start, fit)}
    if "mask" in body or "mask_image" in body:
        found["mask"] = _mask(body, fit, told)
    return found | _strength(body, steps, "mask" in found, told)


def _fit(body: Body, told: list[str]) -> Fit:
    mode = body.whole("resize_mode") or 0
    if mode == 3:
        told.append("resize_mode 3 resizes pixels here, not latents")
    return _FITS[mode] if 0 <= mode < len(_FITS) else _FITS[0]


def _strength(body: Body, steps: int, masked: bool, told: list[str]) -> dict[str, Any]:
    """How much is drawn anew, at least one step of it; nothing at all for 0."""
    asked = body.number("denoising_strength")
    strength = _STRENGTH if asked is None else min(max(asked, 0.0), 1.0)
    if strength == 0 and not masked:
        told.append("denoising_strength 0 draws nothing: this is the image as it was sent")
        return {"strength": 0, "upscaler": LANCZOS, "upscale": 1, "num_images": 1}
    if int(steps * strength) < 1:
        strength = min(1.0, 1 / steps + 1e-6)
        told.append(f"of {steps} steps one is drawn at least: denoising_strength is {strength:.3g}")
    return {"strength": strength}


def _mask(body: Body, fit: Fit, told: list[str]) -> Mask:
    """White is drawn anew, as here; its edge is softened in pixels of the request's size, as here."""
    image = image_in(body.values.get("mask", body.values.get("mask_image")), "mask")
    across = (body.number(name) for name in ("mask_blur", "mask_blur_x", "mask_blur_y"))
    blur = max((each for each in across if each is not None), default=4.0)
    _tell_of_mask(body, told)
    return Mask(
        image=FittedImage(image, fit),
        invert=bool(body.whole("inpainting_mask_invert")),
        blur=min(max(blur, 0.0), _MAX_BLUR),
    )


def _tell_of_mask(body: Body, told: list[str]) -> None:
    if body.flag("inpaint_full_res", default=True):
        told.append("the whole image is drawn at its size, and not the masked part alone (inpaint_full_res)")
    if body.whole("inpainting_fill") not in (None, 1):
        told.append("what is drawn anew begins with the image itself (inpainting_fill 1)")
