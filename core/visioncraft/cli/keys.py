"""`visioncraft keys`: keys for people and programs that use this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from visioncraft.access.keys import AccessKey, AccessKeys
    from visioncraft.cli.state import State

app = typer.Typer(help="Access keys of this server.", no_args_is_help=True, rich_markup_mode=None)
NameArgument = Annotated[str, typer.Argument(help="Whom or what the key is for.")]
KnownArgument = Annotated[str, typer.Argument(help="The key's name or id.")]
ScopesOption = Annotated[
    str, typer.Option(help="What it is for, by commas; `visioncraft keys scopes` explains them.", show_default=True)
]
ModelsOption = Annotated[str, typer.Option(help="The only models that it may use, by commas; all where left out.")]
ExpiresOption = Annotated[
    str | None, typer.Option(help="When it ends: a date (2027-01-31), or from now on (90d, 12h).")
]
OverlapOption = Annotated[str, typer.Option(help="How long the secret of before counts too (24h, 7d, 0h).")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def create(
    ctx: typer.Context,
    name: NameArgument,
    scopes: ScopesOption = "generate,edit,gallery:read,gallery:write,models:read",
    models: ModelsOption = "",
    expires: ExpiresOption = None,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    _, text = _keys(ctx.obj).create(name, _listed(scopes), _listed(models), _moment(expires) if expires else None)
    typer.echo(text)
    typer.echo(f"for {name!r}; it is not shown again. Send it as Authorization: Bearer <key>", err=True)


@app.command("list")
def list_keys(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the keys, without their secrets."""
    from visioncraft.cli.output import print_json, print_table

    found = _keys(ctx.obj).all()
    if as_json:
        print_json([_plain(key) for key in found])
    else:
        print_table(("Key", "Name", "Scopes", "Models", "State"), [_row(key) for key in found])


@app.command()
def revoke(ctx: typer.Context, key: KnownArgument) -> None:
    """Take a key back, at once and for good."""
    revoked = _keys(ctx.obj).revoke(key)
    typer.echo(f"{revoked.name!r} ({revoked.id}) lets nobody in any more")


@app.command()
def rotate(ctx: typer.Context, key: KnownArgument, overlap: OverlapOption = "24h") -> None:
    """Give a key a new secret; the one of before counts for a while too."""
    changed, text = _keys(ctx.obj).rotate(key, _span(overlap))
    typer.echo(text)
    typer.echo(f"for {changed.name!r}; its secret of before counts for {overlap} more", err=True)


@app.command()
def scopes() -> None:
    """Show what a key can be for."""
    from visioncraft.access.scopes import SCOPES
    from visioncraft.cli.output import print_table

    print_table(("Scope", "What it allows"), [*SCOPES.items()])


def _keys(state: State) -> AccessKeys:
    from visioncraft.access.keys import AccessKeys

    return AccessKeys(state.settings().access_keys_path)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _moment(text: str) -> datetime:
    """When a key ends. Raises `ConfigurationError`."""
    from datetime import UTC, datetime

    from visioncraft.errors import ConfigurationError

    if text[-1:] in ("d", "h"):
        return datetime.now(UTC) + _span(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--expires {text!r}: write a date as 2027-01-31, or 90d, or 12h") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _span(text: str) -> timedelta:
    """Days or hours. Raises `ConfigurationError`."""
    from datetime import timedelta

    from visioncraft.errors import ConfigurationError

    number, unit = text[:-1], {"d": "days", "h": "hours"}.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and len(number) < 6):
        raise ConfigurationError(f"{text!r} is no span of time: write 24h or 7d")
    return timedelta(**{unit: int(number)})


def _state(key: AccessKey) -> str:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is not None:
        return f"{'expired' if key.expires_at <= now else 'until'} {key.expires_at:%Y-%m-%d %H:%M}"
    return "valid"


def _row(key: AccessKey) -> tuple[str, ...]:
    return f"vc_{key.id}_…", key.name, ", ".join(key.scopes), ", ".join(key.models) or "all", _state(key)


def _plain(key: AccessKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "state": _state(key),
    }
