"""What OpenAPI says of the routes: bodies, answers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from visioncraft_openai_api.fields import Body


class TokenDetails(BaseModel):
    """Of what kind tokens are."""

    text_tokens: int
    image_tokens: int


class Usage(BaseModel):
    """What was counted: nothing, here."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TokenDetails
    output_tokens_details: TokenDetails


class ImageItem(BaseModel):
    """One image: exactly one of `url` and `b64_json`."""

    b64_json: str | None = None
    url: str | None = None
    id: str
    seed: int


class ImagesAnswer(BaseModel):
    """Images, with the facts of their making."""

    created: int
    data: list[ImageItem]
    background: Literal["opaque"]
    output_format: Literal["png", "webp", "jpeg"]
    quality: str
    size: str
    usage: Usage
    model: str
    warnings: list[str] | None = None


class ModelAnswer(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    name: str


class ModelList(BaseModel):
    """Models."""

    object: Literal["list"] = "list"
    data: list[ModelAnswer]


class ErrorFacts(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error."""

    error: ErrorFacts


_TITLES = {
    400: "The request is wrong, or its job was cancelled",
    401: "Missing or wrong token",
    403: "A foreign Host or Origin",
    404: "No such model or route",
    405: "The route does not take this method",
    408: "The request did not come in time",
    424: "A cloud service failed, or the job did after some of its images were drawn",
    429: "The queue is full",
    500: "Server error",
    503: "Nothing can be drawn now",
}
_ANY_ERROR = {"application/json": {"schema": {"$ref": f"#/components/schemas/{OpenAIError.__name__}"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    # FastAPI makes a validator of every model of every route while the server starts: one of them has it for all.
    status: {"description": title} | ({"model": OpenAIError} if status == 500 else {"content": _ANY_ERROR})
    for status, title in _TITLES.items()
}
"""OpenAPI's `responses` of every route that is in the documentation."""

IMAGES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The images; with `stream` events that tell of them",
        "model": ImagesAnswer,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
"""OpenAPI's `responses` of the routes that draw."""

_FILE = {"type": "string", "format": "binary"}


def request_body(operation: str) -> dict[str, Any]:
    """OpenAPI's `requestBody` of a route that draws.

    Args:
        operation: The last part of its path.
    """
    schema = {**_body_schema(), "required": [] if operation == "variations" else ["prompt"]}
    json_only = {"application/json": {"schema": schema}}
    if operation == "generations":
        return {"requestBody": {"required": True, "content": json_only}}
    form = {**schema, "required": [*schema["required"], "image"]}
    form["properties"] = {**schema["properties"], "image": {"type": "array", "items": _FILE}, "mask": _FILE}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


@cache
def _body_schema() -> Mapping[str, Any]:
    schema = Body.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    inlined: Mapping[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with what it refers to in place."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in schema.items()}
