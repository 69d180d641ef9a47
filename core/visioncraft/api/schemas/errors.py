"""The contract's error envelope."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class JobError(BaseModel):
    """The body of the contract's error envelope."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    details: dict[str, Any] | None = None


class ErrorAnswer(BaseModel):
    """The error envelope of every route."""

    error: JobError
