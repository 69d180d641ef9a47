"""The hooks. httpx and SQLAlchemy wait until a picture or a key needs them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from visioncraft import BackendStatus, Generator, KeyCheck, KeyService, Settings, hookimpl

from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.settings import SERVICE, LeonardoSettings

NAME = "leonardo"


@hookimpl
def visioncraft_generators(settings: Settings) -> Sequence[Generator]:
    """Leonardo.ai."""
    return [LeonardoGenerator(settings, settings.plugin(NAME, LeonardoSettings))]


@hookimpl
def visioncraft_status(settings: Settings) -> Awaitable[BackendStatus]:
    """The credits that are left."""
    from visioncraft_leonardo.account import account_status

    return account_status(settings, settings.plugin(NAME, LeonardoSettings))


@hookimpl
def visioncraft_key_services() -> Sequence[KeyService]:
    """Leonardo.ai's key."""
    return [SERVICE]


@hookimpl
def visioncraft_key_checks(settings: Settings) -> Sequence[KeyCheck]:
    """`GET /me`."""
    table = settings.plugin(NAME, LeonardoSettings)

    async def ask(key: str) -> None:
        from visioncraft_leonardo.account import check_key

        await check_key(table, key)

    return [KeyCheck(SERVICE.id, ask)]
