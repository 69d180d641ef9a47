"""Images that come with a request: files of a form, or what JSON has in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visioncraft import InvalidRequest

from visioncraft_openai_api.fields import MOST_IMAGES

Image = bytes | str
"""A file's bytes; base64, a `data:` URL or the id of an image in the gallery."""


def images_in(sent: Mapping[str, Any], operation: str) -> tuple[Sequence[Image], Image | None]:
    """Find the images of a request.

    Args:
        sent: The body's fields.
        operation: `generations`, which takes none, `edits` or `variations`, which need one.

    Returns:
        The images to start from, and the mask where there is one.

    Raises:
        InvalidRequest: There are none or too many, or one is sent as something that no image is.
    """
    if operation == "generations":
        return (), None
    found = [image for name in ("image", "images") for image in _listed(name, sent.get(name))]
    if not found:
        raise InvalidRequest.of("image", "required, but absent; send a file, or base64 in JSON")
    if len(found) > MOST_IMAGES:
        raise InvalidRequest.of("image", f"at most {MOST_IMAGES}")
    if _is_there(sent.get("markup")):
        issue = "no model here follows it; paint into the image itself, or send a mask"
        raise InvalidRequest.of("markup", issue)
    mask = sent.get("mask") if operation == "edits" else None
    return found, _image("mask", mask) if _is_there(mask) else None


def _listed(name: str, value: Any) -> list[Image]:
    several = value if isinstance(value, list) else [value]
    return [_image(name, each) for each in several if _is_there(each)]


def _is_there(value: Any) -> bool:
    return value is not None and value != "" and value != b""


def _image(name: str, value: Any) -> Image:
    """One image. In JSON it may be `{"image_url": "data:…"}`, as the protocol has it there."""
    if isinstance(value, Mapping):
        value = value.get("image_url", value.get("b64_json"))
        value = value.get("url") if isinstance(value, Mapping) else value
    if isinstance(value, bytes | str):
        return value
    issue = 'a file in a form; in JSON base64, a data: URL, {"image_url": "data:…"} or the id of an image here'
    raise InvalidRequest.of(name, issue)
