"""What clients send and are answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEAST_LIFE_S, _LONGEST_LIFE_S = 3600, 30 * 86400


class ExpiresAfter(BaseModel):
    """For how long a file is kept."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=_LEAST_LIFE_S, le=_LONGEST_LIFE_S)


class BatchRequest(BaseModel):
    """A batch to draw."""

    input_file_id: str = Field(max_length=64, description="A file that was sent with the purpose `batch`")
    endpoint: str = Field(max_length=64, description="`/v1/images/generations` or `/v1/images/edits`")
    completion_window: str = Field(
        "24h", pattern=r"^[1-9][0-9]{0,6}[smhd]$", description="`24h`, or any time up to 30 days, as `90m` and `7d`"
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None

    @property
    def window_s(self) -> int:
        """The time in which it is to be drawn, in seconds."""
        return min(int(self.completion_window[:-1]) * _UNITS_S[self.completion_window[-1]], _LONGEST_LIFE_S)


class Listed(BaseModel):
    """A page of files or batches."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


def listed(documents: list[dict[str, Any]], limit: int) -> Listed:
    """A page.

    Args:
        documents: What is on it, and one more where there is another page.
        limit: How many are on it at most.
    """
    page = documents[:limit]
    ids = [each["id"] for each in page] or [None]
    return Listed(data=page, first_id=ids[0], last_id=ids[-1], has_more=len(documents) > limit)
