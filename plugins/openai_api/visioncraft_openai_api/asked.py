"""From a body of the images API to what `service.submit` takes, and to how the answer is to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import ValidationError
from visioncraft import InvalidRequest, Mask, ModelInfo, Parameter, Service

from visioncraft_openai_api.fields import PLAIN, UNHEARD, Body, shown
from visioncraft_openai_api.models import chosen
from visioncraft_openai_api.quality import quality_fields, told_quality
from visioncraft_openai_api.sent_images import images_in
from visioncraft_openai_api.sizes import size_fields

Operation = Literal["generations", "edits", "variations"]
"""The last part of a route's path."""

_CLOSE = 0.5  # how much of the noise comes back where an image is to be followed closely


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How an answer is to be.

    Args:
        as_url: Whether its items are URLs, and not the images themselves.
        output_format: What the images are encoded as.
        compression: 1 to 100, the better the larger; None for the best of each format.
        quality: The quality that the answer tells.
    """

    as_url: bool = False
    output_format: Literal["png", "webp", "jpeg"] = "png"
    compression: int | None = None
    quality: str = "medium"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for images that has been understood.

    Args:
        model: The id of the model that draws.
        prompt: What to draw.
        fields: Further fields for `service.submit`.
        warnings: What of the request will not be in the images, a sentence each.
        form: How the answer is to be.
        partial_images: How many unfinished images a stream shows at most.
        stream: Whether the answer is a stream of events.
    """

    model: str
    prompt: str
    fields: Mapping[str, Any]
    warnings: tuple[str, ...]
    form: AnswerForm
    partial_images: int = 0
    stream: bool = False


async def understand(service: Service, operation: Operation, sent: Mapping[str, Any]) -> Asked:
    """Read what a client asked for.

    Args:
        service: Knows the models.
        operation: Which of the three routes it was sent to.
        sent: The body's fields, with images as bytes or as JSON has them.

    Returns:
        What to submit, and how to answer.

    Raises:
        InvalidRequest: A field is wrong; it is named as the client calls it.
        ModelNotAvailable: No model can draw at all.
    """
    body = _validated(sent)
    images, mask = images_in(sent, operation)
    model, warnings = await chosen(service, body.model, edits=bool(images), masked=mask is not None)
    plain = body.model_dump(exclude_none=True, include=set(PLAIN))
    fields = {PLAIN[name]: value for name, value in plain.items()}
    size, size_warnings = size_fields(model, body.size)
    extra, extra_warnings = _extra(body.model_extra or {}, model, service.models())
    fields = {**quality_fields(model, body.quality), **size, **fields, **extra, **_editing(body, images, mask)}
    return Asked(
        model=model.id,
        prompt=_prompt(body, operation),
        fields=fields,
        warnings=(*warnings, *size_warnings, *_background(body), *extra_warnings),
        form=_form(body),
        partial_images=body.partial_images or 0,
        stream=bool(body.stream),
    )


def _validated(sent: Mapping[str, Any]) -> Body:
    """The fields with their types; what is null or empty counts as absent. Raises `InvalidRequest`."""
    given = {name: value for name, value in sent.items() if value is not None and (value != "" or name == "prompt")}
    try:
        return Body.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if not _is_a_branch(part))[:64]
        issue = str(first["ctx"]["error"]) if first["type"] == "value_error" else str(first["msg"])
        raise InvalidRequest.of(field, issue) from error


def _is_a_branch(part: int | str) -> bool:
    """Whether a part of an error's place is pydantic's name of a type, and no field."""
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float"))


def _prompt(body: Body, operation: Operation) -> str:
    if body.prompt is None and operation != "variations":
        raise InvalidRequest.of("prompt", "required, but absent")
    return body.prompt or ""


def _editing(body: Body, images: Sequence[bytes | str], mask: bytes | str | None) -> dict[str, Any]:
    """The image to start from, and where it is drawn anew. Raises `InvalidRequest` for more than one."""
    if not images:
        return {}
    if len(images) > 1:
        issue = f"{len(images)} images were sent, and the models here start from one: send the one to edit"
        raise InvalidRequest.of("image", issue)
    fields: dict[str, Any] = {"init_image": images[0]}
    if mask is not None:
        return {**fields, "mask": Mask(image=mask, channel="alpha")}
    return {**fields, "strength": _CLOSE} if body.input_fidelity == "high" and body.strength is None else fields


def _form(body: Body) -> AnswerForm:
    legacy = (body.model or "").startswith("dall-e")  # whose clients read the URL alone
    as_url = body.response_format == "url" if body.response_format else legacy
    output_format: Literal["png", "webp", "jpeg"] = "png"
    if body.output_format is not None:
        output_format = "jpeg" if body.output_format == "jpg" else body.output_format
    compression = None if body.output_compression is None else max(1, body.output_compression)
    return AnswerForm(as_url, output_format, compression, told_quality(body.quality))


def _background(body: Body) -> list[str]:
    """What is to be told of a background that nobody here draws."""
    return ["background: no model here draws transparency; it is opaque"] if body.background == "transparent" else []


def _extra(given: Mapping[str, Any], model: ModelInfo, known: Sequence[ModelInfo]) -> tuple[dict[str, Any], list[str]]:
    """Parameters that models declare, and a sentence for each field that means nothing."""
    declared = {each.name: each for other in (*known, model) for each in other.parameters}
    taken = {name: _typed(declared[name], value) for name, value in given.items() if name in declared}
    strange = [name for name in given if name not in declared and name not in UNHEARD]
    return taken, [f"'{shown(name)}' is not a field here and was ignored" for name in strange[:16]]


def _typed(parameter: Parameter, value: Any) -> Any:
    """A value of the parameter's type where it was sent as text, or as a float that is whole."""
    if isinstance(value, str) and parameter.type != "string":
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    if parameter.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
