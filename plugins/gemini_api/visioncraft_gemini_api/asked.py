"""What clients send, as what a job is asked for: `:predict` has instances and parameters, `:generateContent` a talk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError
from visioncraft import InvalidRequest, whole_text

from visioncraft_gemini_api.bodies import Content, Frame, GenerateBody, PredictBody, Wishes

_LONGEST_NAME = 64
_STANDARD = str.maketrans("-_", "+/")  # Google's client writes base64 as URLs have it (RFC 4648, 5)
BodyT = TypeVar("BodyT", PredictBody, GenerateBody)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a job takes it, but for its model and its size.

    Args:
        prompt: What to draw.
        fields: Further fields of `POST /generate`, only those that were sent.
        frame: Which size is wished for, in this API's words.
        warnings: What of the request is not drawn, a sentence each.
        media_type: What the images are answered as.
        quality: Of a JPEG or WebP, 1 to 100; None for the best.
    """

    prompt: str
    fields: dict[str, Any]
    frame: Frame
    warnings: list[str] = field(default_factory=list)
    media_type: str = "image/png"
    quality: int | None = None


def of_prediction(content: bytes) -> Asked:
    """Read the body of `:predict`. Raises `InvalidRequest`."""
    body = _checked(content, PredictBody)
    instances = body.instances if isinstance(body.instances, list) else [body.instances]
    if len(instances) != 1:
        raise InvalidRequest.of("instances", f"one prompt for each request, not {len(instances)}")
    given = body.parameters
    count = given.sample_count if given.sample_count is not None else 1
    fields = {**_wished(given), "num_images": count}
    output = given.output_options
    return Asked(instances[0].prompt, fields, given, [], _media_type(output.mime_type), output.compression_quality)


def of_talk(content: bytes) -> Asked:
    """Read the body of `:generateContent`: the last turn's words, and the newest image. Raises `InvalidRequest`."""
    body = _checked(content, GenerateBody)
    talk = body.contents if isinstance(body.contents, list) else [body.contents]
    config = body.generation_config
    fields = {**_wished(config), "num_images": config.candidate_count if config.candidate_count is not None else 1}
    images = _newest_images(talk)
    warnings = [f"only the first of {len(images)} images is drawn over"] if len(images) > 1 else []
    if images:
        fields["init_image"] = images[0]
    return Asked(_words(talk), fields, config.image_config, warnings)


def _checked(content: bytes, kind: type[BodyT]) -> BodyT:
    try:
        return kind.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.of("body", f"not valid JSON: {error}") from None
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    where = [str(each) for each in first["loc"] if not _is_guess(each)]
    return InvalidRequest.of(whole_text(".".join(where) or "body")[:_LONGEST_NAME], str(first["msg"]))


def _is_guess(part: int | str) -> bool:
    """Whether a part of a field's name is pydantic's word for one of several types, and no field."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part)


def _wished(given: Wishes) -> dict[str, Any]:
    names = Wishes.model_fields.keys()
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def _words(talk: Sequence[Content]) -> str:
    """The words of the last turn that has any: what a chat said before is drawn already."""
    for turn in reversed(talk):
        words = [part.text for part in turn.parts if part.text]
        if words and turn.role != "model":
            return "\n".join(words)
    raise InvalidRequest.of("contents", "no part has a text; say what to draw")


def _newest_images(talk: Sequence[Content]) -> list[str]:
    """The images of the last turn that has any, which may be the model's own answer."""
    for turn in reversed(talk):
        if any(part.file_data for part in turn.parts):
            raise InvalidRequest.of("file_data", "files are not fetched; send the image as inline_data")
        if images := [part.inline_data.data.translate(_STANDARD) for part in turn.parts if part.inline_data]:
            return images
    return []


def _media_type(wished: str | None) -> str:
    """The nearest to what is wished for."""
    return wished if wished in ("image/jpeg", "image/webp") else "image/png"
