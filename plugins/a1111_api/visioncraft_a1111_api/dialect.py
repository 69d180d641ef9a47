"""The routes of `/sdapi/v1` and `/controlnet`, put together."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from visioncraft import Dialect, ModelNotAvailable, Service, Settings

from visioncraft_a1111_api import control, documents, drawing, extras, files, lists, models, progress
from visioncraft_a1111_api.bodies import read_body
from visioncraft_a1111_api.errors import answer
from visioncraft_a1111_api.options import Options

_LARGEST = 64 * 2**20
"""Bytes of a body: several images in base64."""


def dialects(settings: Settings, service: Service) -> list[Dialect]:
    """Makes both, with AUTOMATIC1111's errors.

    Args:
        settings: Of the server; the data folder keeps what clients select.
        service: The server.
    """
    options = Options(settings.data_path / "a1111-options.json")
    routes = APIRouter(prefix="/sdapi/v1")
    drawing.add_routes(routes, service, options)
    extras.add_routes(routes, service, options)
    files.add_routes(routes, service)
    progress.add_routes(routes, service)
    lists.add_routes(routes, service)
    _add_options(routes, service, options)
    both = routes, control.router(service)
    return [Dialect(each, errors=answer, request_size=_LARGEST, scope="generate") for each in both]


def _add_options(routes: APIRouter, service: Service, options: Options) -> None:
    @routes.get("/options")
    async def get_options() -> dict[str, Any]:
        """What is selected for all requests without a word of their own."""
        try:
            return options.document(await models.chosen(service, options))
        except ModelNotAvailable:
            return options.document(None)

    @routes.post("/options", openapi_extra=documents.body(documents.OPTIONS))
    async def set_options(request: Request) -> dict[str, Any]:
        """Select anew; what is not known is passed over."""
        body = await read_body(request)
        named = body.text("sd_model_checkpoint")
        await options.change(body, await models.find(service, named) if named.strip() else None)
        return {}
