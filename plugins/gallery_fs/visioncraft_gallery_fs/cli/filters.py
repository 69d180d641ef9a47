"""The filters of `GET /gallery` as options of commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from inspect import Parameter, signature
from typing import Annotated

import typer
from visioncraft import GalleryQuery, tag_key

_INT64 = 2**63


def _text(typed: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in typed):  # how Python shows bytes that are no UTF-8
        raise typer.BadParameter("it holds bytes that are no text")
    return typed


def _tag(typed: str) -> str:
    return tag_key(_text(typed))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time as 2026-11-23 or 2026-11-23T12:30:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


SearchOption = Annotated[
    str,
    typer.Option(
        "--search", "--q", "-q", parser=_text, metavar="WORDS", help="Only pictures with these in prompt or notes."
    ),
]
ModelOption = Annotated[
    str | None, typer.Option(parser=_text, metavar="ID", help="Only pictures that this model drew.")
]
TagOption = Annotated[
    list[str] | None, typer.Option(parser=_tag, metavar="TAG", help="Only pictures with this tag; may be repeated.")
]
GeneratorOption = Annotated[
    str | None, typer.Option(parser=_text, metavar="NAME", help="Only pictures that this generator drew.")
]
SideOption = Annotated[int | None, typer.Option(min=1, max=_INT64 - 1, help="In pixels.")]
SeedOption = Annotated[int | None, typer.Option(min=-_INT64, max=_INT64 - 1, help="Only pictures of this seed.")]
SinceOption = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Made at this time or later, in UTC.")
]
UntilOption = Annotated[datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Made before this time.")]
FavouriteOption = Annotated[bool | None, typer.Option(help="Only pictures with a star, or without.")]
RatingOption = Annotated[int, typer.Option(min=0, max=5, help="Only pictures rated so or better.")]


def query_of(
    search: SearchOption = "",
    model: ModelOption = None,
    generator: GeneratorOption = None,
    width: SideOption = None,
    height: SideOption = None,
    seed: SeedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tag: TagOption = None,
    favourite: FavouriteOption = None,
    min_rating: RatingOption = 0,
) -> GalleryQuery:
    """What these options ask for."""
    return GalleryQuery(
        text=search,
        model=model,
        generator=generator,
        width=width,
        height=height,
        seed=seed,
        since=since,
        until=until,
        tags=tuple(tag or ()),
        favourite=favourite,
        min_rating=min_rating,
    )


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every filter as an option, in the place of its `**filters`: what `query_of` takes."""
    told = signature(command, eval_str=True)
    own = [each for each in told.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    parameters = [*own, *signature(query_of, eval_str=True).parameters.values()]
    command.__signature__ = told.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
