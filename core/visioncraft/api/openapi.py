"""What OpenAPI says beyond the routes' own types: the errors, with examples, and no 422, which is never sent."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from visioncraft import errors
from visioncraft.api.errors import envelope, status_of
from visioncraft.api.schemas.errors import ErrorAnswer
from visioncraft.runtime.runtime import Runtime

_EXAMPLES: tuple[errors.VisionCraftError, ...] = (
    errors.InvalidRequest.of("prompt", "Prompt cannot be empty"),
    errors.AuthenticationError(
        "This server needs its token or an access key: send Authorization: Bearer <token or key>"
    ),
    errors.Forbidden("Requests from that Origin are refused; add it to server.cors_origins"),
    errors.NotFound("No picture 'img_01kb0v7m3qj4x5n6p7r8s9t0ab'"),
    errors.ModelNotAvailable("invalid-model", ["stable-diffusion-1.5"]),
    errors.RequestTimeout("The request's body did not come in time"),
    errors.JobCancelled(),
    errors.RateLimitExceeded("The queue is full: 32 jobs wait", retry_after=4.0),
    errors.VisionCraftError("The server failed on this request; its log has the reason"),
    errors.UpstreamError(
        "Leonardo.ai generation failed", api_error="Invalid model ID", suggestion="Check available models"
    ),
    errors.ServiceUnavailable("Service temporarily unavailable"),
    errors.InsufficientVRAM(3.2, 6.5),
)

_TITLES = {
    400: "Invalid request parameters",
    401: "Missing or invalid API key or token",
    403: "A foreign Host or Origin, or a key without the scope",
    404: "Resource or model not found",
    405: "The route does not take this method",
    408: "The request did not come in time",
    409: "The job was cancelled",
    429: "Too many requests",
    500: "Server error",
    502: "The cloud service refused or failed",
    503: "Service temporarily unavailable, or not enough VRAM",
}

COMMON = (400, 401, 403, 405, 408, 500, 503)
"""Statuses any route may answer."""


_BYTES = {"type": "string", "format": "binary"}
THE_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture: in JSON, or itself where `Accept` says so",
        "content": {kind: {"schema": _BYTES} for kind in ("image/png", "image/webp", "image/jpeg")},
    }
}
"""OpenAPI's `responses` for a route that answers a picture as JSON, or itself."""

_FORM = {
    "type": "object",
    "description": "The fields of the JSON body, those of documents inside as `hires.scale`; pictures as files",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string", "minLength": 1},
        "init_image": _BYTES,
        "mask": _BYTES,
        "controlnet.name": {"type": "string"},
        "controlnet.image": _BYTES,
    },
}
AS_A_FORM: dict[str, Any] = {"requestBody": {"content": {"multipart/form-data": {"schema": _FORM}}}}
"""OpenAPI's `requestBody` beside JSON's."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for a route that may fail with `statuses` beside the common ones."""
    return {status: _response(status) for status in sorted({*COMMON, *statuses})}


def binary(media_type: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for a route that answers bytes and knows ETags."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The bytes", "content": content}, 304: {"description": "The client has them already"}}


def customise(app: FastAPI, runtime: Runtime) -> None:
    """Have `/openapi.json` say what is true here: the default model, the services that take keys, and no 422."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)
        service = document["components"]["schemas"]["ApiKeyBody"]["properties"]["service"]
        service["enum"] = sorted(runtime.keys.services)
        default = runtime.registry.default_model()
        if default is not None:
            document["components"]["schemas"]["GenerateBody"]["properties"]["model"]["default"] = default.id
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _response(status: int) -> dict[str, Any]:
    examples = {
        error.code: {"summary": type(error).__name__, "value": envelope(error)}
        for error in _EXAMPLES
        if status_of(error) == status
    }
    content = {"application/json": {"examples": examples}} if examples else {}
    return {"model": ErrorAnswer, "description": _TITLES[status], "content": content}
