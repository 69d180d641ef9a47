"""Stored pictures: `/gallery` and `/images`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from visioncraft.api.schemas.fields import SAID_PATTERN, WHOLE, Asked, Text
from visioncraft.api.schemas.hints import OF_A_GALLERY
from visioncraft.types.gallery import GalleryQuery, Marks, Sort, tag_key


def _whole_characters(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text) or "\0" in text:
        raise ValueError("holds half of a surrogate pair or a NUL; send whole characters")
    return text


def _tag(text: str) -> str:
    spelled = tag_key(_whole_characters(text))
    if not spelled:
        raise ValueError("a tag is more than spaces")
    return spelled


def _moment(value: object, parse: ValidatorFunctionWrapHandler) -> datetime:
    """A year or a compact date alone would be read as seconds since 1970, and find everything."""
    try:
        if isinstance(value, str) and value.lstrip("-").isdigit():
            raise ValueError("a number")
        moment: datetime = parse(value)
    except ValueError:
        raise ValueError("no time as 2026-11-23 or 2026-11-23T12:30:00Z; in a URL + is written %2B") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _filled_in(values: list[object]) -> list[object]:
    return [value for value in values if value != ""]


_INT64 = 2**63
_MOMENTS = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
_LEFT_EMPTY = {"type": "string", "maxLength": 0, "description": "A form's field that was not filled in"}
Moment = Annotated[datetime, WrapValidator(_moment), WithJsonSchema({"anyOf": [*_MOMENTS, _LEFT_EMPTY]})]
Tag = Annotated[
    Text,
    Field(min_length=1, max_length=100, json_schema_extra={"pattern": SAID_PATTERN}),
    AfterValidator(_tag),
]


class GalleryEntry(BaseModel):
    """A stored picture."""

    id: str = Field(examples=["img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    filename: str = Field(examples=["generated_image_20240207_123456_s9t0ab.png"])
    prompt: str
    negative_prompt: str
    model: str
    seed: int
    generation_time: float
    vram_used: float
    width: int
    height: int
    created_at: datetime
    generator: str = Field(description="The generator that drew it; empty where that is not known")
    tags: list[str]
    favourite: bool
    rating: int = Field(description="0 for none, else 1 to 5")
    notes: str
    url: str = Field(description="The PNG itself", examples=["/images/img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    thumbnail_url: str
    image_data: str | None = Field(None, description="Base64-encoded PNG; absent with image_data=false")


class RecordAnswer(GalleryEntry):
    """A stored picture with everything that is known of its making."""

    parameters: dict[str, Any] = Field(description="All parameters used, as /generate answered them")
    facts: dict[str, Any] = Field(description="What else the generator said")


class MarkedEntry(GalleryEntry):
    """A stored picture whose marks were changed."""

    warnings: list[str] | None = Field(None, description="What of the request means nothing here; else absent")


class GalleryAnswer(BaseModel):
    """A page of the gallery."""

    images: list[GalleryEntry]
    total_count: int
    limit: int
    offset: int
    total_is_exact: bool = Field(description="False where counting stopped: there are total_count or more")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the page after this one; null at the end")
    warnings: list[str] | None = Field(None, description="What of the question means nothing here; else absent")


class Filters(Asked):
    """Which pictures of the gallery; what is left out does not restrict, nor does a form's empty field."""

    FOREIGN = OF_A_GALLERY

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, sent: object) -> object:
        if not isinstance(sent, dict):
            return sent
        given = {name: _filled_in(value) if isinstance(value, list) else value for name, value in sent.items()}
        return {name: value for name, value in given.items() if value != ""}

    model: str | None = Field(None, max_length=200, description="Filter by model used")
    q: str | None = Field(
        None, max_length=500, description='Words of prompt or notes; `word*` begins so, `"two words"` side by side'
    )
    generator: str | None = Field(None, max_length=200, description="The generator that drew it")
    width: int | None = Field(None, ge=1, lt=_INT64, description="Pixels")
    height: int | None = Field(None, ge=1, lt=_INT64, description="Pixels")
    seed: int | None = Field(None, ge=-_INT64, lt=_INT64, description="The seed that drew it")
    since: Moment | None = Field(None, description="Made at this time or later; without a time zone it is UTC")
    until: Moment | None = Field(None, description="Made before this time")
    tag: list[Tag] = Field([], max_length=20, description="Has this tag; several may be given, and all must fit")
    favourite: bool | None = Field(None, description="Starred, or not")
    min_rating: int = Field(0, ge=0, le=5, description="Rated so or better")
    sort: Sort = Field("newest", description="newest, oldest, or rating: the best rated first")

    def query(self) -> GalleryQuery:
        """As stores take it."""
        return GalleryQuery(
            text=self.q or "",
            model=self.model,
            generator=self.generator,
            width=self.width,
            height=self.height,
            seed=self.seed,
            since=self.since,
            until=self.until,
            tags=tuple(self.tag),
            favourite=self.favourite,
            min_rating=self.min_rating,
            sort=self.sort,
        )


class GalleryPage(Filters):
    """`GET /gallery`: which pictures, and which page of them."""

    limit: int = Field(50, ge=1, le=500, description="Maximum number of images to return")
    offset: int = Field(0, ge=0, le=2**53, description="Number of images to skip")
    cursor: str | None = Field(None, max_length=200, description="The next_cursor of the page before, with its filters")
    image_data: bool = Field(True, description="Whether each entry carries its picture as base64")


class MarksBody(Asked):
    """What to say of a picture. What is left out or null stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["fruit"], "rating": 5}]})

    tags: list[Tag] | None = Field(None, max_length=100, description="All its tags, kept in lower case")
    favourite: bool | None = Field(None, strict=True)
    rating: Annotated[int, Field(ge=0, le=5), WHOLE] | None = Field(None, description="0 for none, else 1 to 5")
    notes: Annotated[Text, Field(max_length=10_000), AfterValidator(_whole_characters)] | None = None

    def changed(self, marks: Marks) -> Marks:
        """The marks with what this body says in place of what they said."""
        return Marks(
            tags=marks.tags if self.tags is None else tuple(sorted(set(self.tags))),
            favourite=marks.favourite if self.favourite is None else self.favourite,
            rating=marks.rating if self.rating is None else self.rating,
            notes=marks.notes if self.notes is None else self.notes,
        )


class SelectionBody(Asked):
    """Which pictures."""

    ids: list[Annotated[Text, AfterValidator(_whole_characters)]] = Field(
        min_length=1, max_length=1000, examples=[["img_01kb0v7m3qj4x5n6p7r8s9t0ab"]]
    )


class DeletedAnswer(BaseModel):
    """Which pictures are gone now, and which were not there."""

    deleted: list[str]
    not_found: list[str]
    warnings: list[str] | None = Field(None, description="What of the request means nothing here; else absent")
