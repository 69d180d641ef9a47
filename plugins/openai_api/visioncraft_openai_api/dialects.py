"""The images API as dialects: at `/v1`, and without it for the clients that leave it out."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings

from visioncraft_openai_api.errors import errors_of
from visioncraft_openai_api.routes import OPERATIONS, add_model_routes, image_routes

_LARGEST = 2**26  # bytes: sixteen images of four megabytes


def image_dialects(settings: Settings, service: Service) -> Sequence[Dialect]:
    """The dialects of the images API.

    Args:
        settings: The server's: no body may be larger than all bodies together.
        service: Draws.
    """
    largest = max(settings.server.max_body_bytes, min(_LARGEST, settings.server.body_memory_bytes))
    with_models = image_routes(service, "/v1")
    add_model_routes(with_models, service)
    return [
        Dialect(
            routes,
            errors=errors_of(service),
            open_paths=[f"OPTIONS {routes.prefix}/images/{operation}" for operation in OPERATIONS],
            request_size=largest,
            scope="generate",
        )
        for routes in (with_models, image_routes(service))
    ]
