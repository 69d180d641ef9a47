"""Pictures that a request names instead of sending them: those of the gallery by their id; none by a URL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from visioncraft.errors import InvalidRequest, NotFound
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.editing import FittedImage, Mask
from visioncraft.types.ids import is_image_id

AnyImage = str | bytes | FittedImage | Mask
_FIELDS = ("init_image", "mask")


async def resolve(fields: Mapping[str, Any], store: ImageStore) -> dict[str, Any]:
    """The fields of a request with the gallery's pictures in place of their ids. Raises `InvalidRequest`."""
    found: dict[str, Any] = {name: await _picture(name, fields[name], store) for name in _FIELDS if fields.get(name)}
    if control := fields.get("controlnet"):
        found["controlnet"] = {**control, "image": await _picture("controlnet.image", control["image"], store)}
    return {**fields, **found}


async def _picture(field: str, sent: AnyImage, store: ImageStore) -> AnyImage:
    if isinstance(sent, Mask):
        inner = await _picture(field, sent.image, store)
        return replace(sent, image=inner.image if isinstance(inner, Mask) else inner)
    if isinstance(sent, FittedImage):
        return replace(sent, image=await found_in(field, sent.image, store))
    return await found_in(field, sent, store)


async def found_in(field: str, sent: str | bytes, store: ImageStore) -> str | bytes:
    """A picture as it was sent, or the gallery's that is named in its place. Raises `InvalidRequest` for a URL."""
    if isinstance(sent, bytes):
        return sent
    if is_image_id(sent):
        try:
            return await asyncio.to_thread(store.open, sent)
        except NotFound:
            raise InvalidRequest.of(field, f"there is no picture {sent} in the gallery") from None
    if sent[:8].lower().startswith(("http://", "https://")):
        issue = "a URL is not fetched; send the picture (base64, or a file in a form) or the id of one in the gallery"
        raise InvalidRequest.of(field, issue)
    return sent
