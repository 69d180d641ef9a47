"""`/png-info` and `/interrogate`: what an image's file says of itself. No pixel of it is looked at here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from visioncraft import Service
from visioncraft_diffusion.infotext import read_infotext

from visioncraft_a1111_api import documents
from visioncraft_a1111_api.bodies import read_body
from visioncraft_a1111_api.editing import image_in
from visioncraft_a1111_api.errors import CaptionerNotFound


def add_routes(routes: APIRouter, service: Service) -> None:
    """Adds both routes."""

    @routes.post("/png-info", openapi_extra=documents.body(documents.AN_IMAGE))
    async def png_info(request: Request) -> dict[str, Any]:
        """The text that an image was drawn with, alone and by its parts."""
        texts = await _texts(request)
        info = texts.pop("parameters", "")
        return {"info": info, "items": {"parameters": info, **texts} if info else texts, "parameters": parsed(info)}

    @routes.post("/interrogate", openapi_extra=documents.body(documents.AN_IMAGE))
    async def interrogate(request: Request) -> dict[str, str]:
        """The prompt that an image was drawn with, where its file says so."""
        found = read_infotext((await _texts(request)).get("parameters", ""))
        if found is None or not found.prompt:
            raise CaptionerNotFound
        return {"caption": found.prompt}

    async def _texts(request: Request) -> dict[str, str]:
        body = await read_body(request)
        return dict((await service.inspect(image_in(body.values.get("image"), "image"))).texts)


def parsed(text: str) -> dict[str, Any]:
    """Returns the parts of an image's text by the names that AUTOMATIC1111 has for them; none where it is no such."""
    found = read_infotext(text)
    if found is None:
        return {}
    width, _, height = found.pairs.get("Size", "").partition("x")
    size = {"Size-1": width, "Size-2": height} if height else {}
    return {"Prompt": found.prompt, "Negative prompt": found.negative_prompt, **found.pairs, **size}
