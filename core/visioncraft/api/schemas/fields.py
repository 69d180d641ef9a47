"""The number and text types that bodies share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field


def _whole(value: object) -> object:
    """JSON has one number type: `20.0` is an integer, `"20"` and `true` are not."""
    if isinstance(value, bool | str):
        raise ValueError("expected an integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("expected a number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Text = Annotated[str, Field(strict=True)]
