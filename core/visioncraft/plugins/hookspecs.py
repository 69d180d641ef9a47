"""The hooks: pluggy wires, objects work.

pluggy is synchronous and untyped, so a hook only hands over typed objects; the objects carry the behaviour. Every hook
takes the frozen `Settings`, and one the server's `Service`; an implementation may leave any of them out. It answers a
sequence. Hooks are called in threads, each with a time limit and before the server's event loop runs. `versionadded`
names the plugin API (`visioncraft.PLUGIN_API`) that a plugin which implements the hook must ask for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

import pluggy

from visioncraft.api_keys import KeyService
from visioncraft.plugins.contracts import Generator, ImageStore, KeyCheck
from visioncraft.plugins.service import Dialect, Service
from visioncraft.types.identity import Authenticator, Identity as Identity
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus

if TYPE_CHECKING:
    import click
    from fastapi import APIRouter
    from starlette.routing import Mount

    from visioncraft.jobs.ledger.contract import LedgerFactory
    from visioncraft.settings import Settings
    from visioncraft.workers.pool import PoolFactory

PROJECT = "visioncraft"
"""pluggy's project name, and the entry-point group plugins are found under."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def visioncraft_generators(settings: Settings) -> Sequence[Generator]:  # type: ignore[empty-body]
    """The engines this plugin brings. Light to construct: no torch at import.

    .. versionadded:: 1.0

    >>> class Blank(Generator):
    ...     name = "blank"
    ...     def models(self):
    ...         return [ModelInfo(id="blank", name="Blank", engine="blank")]
    ...     def run(self, request, progress):
    ...         raise NotImplementedError
    >>> @hookimpl
    ... def visioncraft_generators(settings):
    ...     return [Blank()]
    """


@hookspec
def visioncraft_models(settings: Settings) -> Sequence[ModelInfo]:  # type: ignore[empty-body]
    """Models that an engine, this plugin's or another's, can run.

    .. versionadded:: 1.0

    >>> @hookimpl
    ... def visioncraft_models(settings):
    ...     return [ModelInfo(id="my-model", name="My model", engine="diffusers", source="/models/my-model")]
    """


@hookspec
def visioncraft_status(settings: Settings) -> BackendStatus | Awaitable[BackendStatus]:  # type: ignore[empty-body]
    """What this plugin adds to `/status` beside its generators' own status.

    .. versionadded:: 1.0

    >>> @hookimpl
    ... def visioncraft_status(settings):
    ...     return BackendStatus(name="my-plugin", facts={"credits": 150})
    """


@hookspec
def visioncraft_key_checks(settings: Settings) -> Sequence[KeyCheck]:  # type: ignore[empty-body]
    """How to ask cloud services whether a key is good: done before one is kept.

    .. versionadded:: 1.0

    >>> async def ask(key: str) -> None:
    ...     if not key.startswith("sk-"):
    ...         raise AuthenticationError("The service refused the key")
    >>> @hookimpl
    ... def visioncraft_key_checks(settings):
    ...     return [KeyCheck("leonardo-api", ask)]
    """


@hookspec
def visioncraft_key_services(settings: Settings) -> Sequence[KeyService]:  # type: ignore[empty-body]
    """The cloud services whose keys this plugin needs: `visioncraft api-key` and `POST /api-key` then know them.

    The variable that a service names is taken out of the server's environment as soon as the plugin is loaded. The
    plugin reads the key with `ApiKeys(settings.keys_path, [service]).get(service.id)`, in a worker of its own too.

    .. versionadded:: 1.1

    >>> @hookimpl
    ... def visioncraft_key_services(settings):
    ...     return [KeyService("nimbus", "NIMBUS_API_KEY", "Nimbus")]
    """


@hookspec
def visioncraft_stores(settings: Settings) -> Sequence[ImageStore]:  # type: ignore[empty-body]
    """The galleries this plugin brings; `storage.backend` selects one by its name.

    .. versionadded:: 1.0

    >>> from visioncraft.gallery.memory import MemoryStore
    >>> @hookimpl
    ... def visioncraft_stores(settings):
    ...     return [MemoryStore(capacity=10)]
    """


@hookspec
def visioncraft_pools(settings: Settings) -> Sequence[PoolFactory]:  # type: ignore[empty-body]
    """The pools this plugin brings, in which generators may run; `workers.pool` selects one by its name.

    .. versionadded:: 1.1

    >>> from visioncraft import PoolFactory
    >>> class FarPool:
    ...     def __init__(self, hosted):
    ...         self.hosted = hosted
    >>> @hookimpl
    ... def visioncraft_pools(settings):
    ...     return [PoolFactory("far", FarPool)]
    """


@hookspec
def visioncraft_ledgers(settings: Settings) -> Sequence[LedgerFactory]:  # type: ignore[empty-body]
    """The ledgers this plugin brings, in which accepted jobs are kept; `jobs.ledger` selects one by its name.

    .. versionadded:: 1.1

    >>> from visioncraft import LedgerFactory
    >>> class FarLedger:
    ...     def __init__(self, lease):
    ...         self.lease = lease
    >>> @hookimpl
    ... def visioncraft_ledgers(settings):
    ...     return [LedgerFactory("far", FarLedger)]
    """


@hookspec
def visioncraft_routers(  # type: ignore[empty-body]
    settings: Settings, service: Service
) -> Sequence[APIRouter | Mount | Dialect]:
    """Further FastAPI routers (other dialects, pages), mounted after the core's own.

    `service` is the way to models, jobs and the gallery while the server runs; it, `Mount`s of other ASGI applications
    and `Dialect`s, which answer errors in a form of their own, are there since 1.1.

    .. versionadded:: 1.0

    >>> @hookimpl
    ... def visioncraft_routers(settings):
    ...     from fastapi import APIRouter
    ...     router = APIRouter()
    ...     @router.get("/hello")
    ...     def hello() -> dict[str, str]:
    ...         return {"hello": "world"}
    ...     return [router]
    """


@hookspec
def visioncraft_authenticators(  # type: ignore[empty-body]
    settings: Settings, service: Service
) -> Sequence[Authenticator]:
    """Who somebody is by the headers of a request; asked where the server's own token does not fit.

    .. versionadded:: 1.1

    >>> class Known:
    ...     async def authenticate(self, headers):
    ...         return Identity("ada") if headers.get("x-api-key") == "let me in, please" else None
    >>> @hookimpl
    ... def visioncraft_authenticators(settings):
    ...     return [Known()]
    """


@hookspec
def visioncraft_commands(settings: Settings) -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Further commands, click's or typer's: `visioncraft <command's name>`.

    .. versionadded:: 1.0

    >>> @hookimpl
    ... def visioncraft_commands(settings):
    ...     import click
    ...     @click.command("hello")
    ...     def hello():
    ...         click.echo("hello")
    ...     return [hello]
    """
