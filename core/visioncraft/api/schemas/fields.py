"""What bodies share: number and text types, and the memory of fields that mean nothing."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from visioncraft.api.schemas.hints import warning
from visioncraft.images.inputs import MAX_TEXT

_MOST_WARNINGS = 16


def _whole(value: object) -> object:
    """JSON has one number type: `20.0` is an integer, `"20"` and `true` are not."""
    if isinstance(value, bool | str):
        raise ValueError("expected an integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("expected a number")
    return value


WHOLE, NUMBER = BeforeValidator(_whole), BeforeValidator(_number)
"""For numbers with bounds, behind these: `Annotated[int, Field(ge=1), WHOLE]`. Bounds behind a validator are no JSON
Schema."""

Number = Annotated[float, NUMBER]
Text = Annotated[str, Field(strict=True)]


SAID_PATTERN = r"\S"
"""Something stands there."""


class AFile:
    """Marks a field that takes a picture, which a form may send as a file."""


Picture = Annotated[str, Field(strict=True, max_length=MAX_TEXT), AFile()]


class Asked(BaseModel):
    """What a client sends. Fields that are none are ignored, as the contract has it, but not in silence."""

    model_config = ConfigDict(extra="ignore")
    FOREIGN: ClassVar[Mapping[str, str]] = {}
    """What other programs' names for its fields mean here; see `hints`."""
    _strange: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _remember_strange_fields(cls, sent: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        body = read(sent)
        if isinstance(sent, dict):
            known = cls.model_fields
            body._strange = {str(name): each for name, each in sent.items() if name not in known and each is not None}
        return body

    def take(self, names: Container[str]) -> dict[str, Any]:
        """Take out those fields that are none of the body's own and have one of these names: a model declares them."""
        taken = {name: value for name, value in self._strange.items() if name in names}
        self._strange = {name: value for name, value in self._strange.items() if name not in names}
        return taken

    def warnings(self) -> tuple[str, ...]:
        """A sentence about each field that is none here, of the documents inside too; bounded."""
        told = list(self._told(""))
        more = len(told) - _MOST_WARNINGS
        return tuple(told if more <= 0 else [*told[:_MOST_WARNINGS], f"{more} further fields are none here either"])

    def _told(self, place: str) -> Iterator[str]:
        known = type(self).model_fields
        for name in self._strange:
            yield warning(place, name, known, self.FOREIGN)
        for name, value in self:
            for number, each in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(each, Asked):
                    yield from each._told(f"{place}{name}.{number}." if isinstance(value, list) else f"{place}{name}.")


def told(asked: Asked) -> dict[str, list[str]]:
    """The field `warnings` of an answer that leaves out what is not set; nothing where there is nothing to say."""
    sentences = asked.warnings()
    return {"warnings": list(sentences)} if sentences else {}
