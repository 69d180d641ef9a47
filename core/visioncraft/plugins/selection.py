"""Which of the plugins' offers settings select by a name: a pool, a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from visioncraft._version import __version__
from visioncraft.errors import ConfigurationError
from visioncraft.plugins.claims import Claims, every
from visioncraft.plugins.distributions import CORE
from visioncraft.plugins.guard import one_line
from visioncraft.plugins.info import PluginInfo
from visioncraft.plugins.manager import PluginManager


class Named(Protocol):
    """What settings select by its name."""

    @property
    def name(self) -> str:
        """What settings call it."""


NamedT = TypeVar("NamedT", bound=Named)
T = TypeVar("T")


def select(plugins: PluginManager, hook: str, setting: str, wanted: str, own: NamedT) -> NamedT:
    """The one of the plugins' offers that a setting names.

    Args:
        plugins: Asked for their offers.
        hook: The hook that they offer them by.
        setting: The setting's key, for messages.
        wanted: What it says.
        own: The core's own offer, whose name no plugin can take.

    Raises:
        ConfigurationError: Nobody offers it, or the plugin of that name is in trouble.
    """
    core = PluginInfo(CORE, CORE, __version__)
    offered = [(core, own), *every(plugins.collect(hook))]
    settled = Claims[NamedT](setting, lambda offer: offer.name).settle(offered)
    if wanted in settled:
        return settled[wanted][1]
    if wanted in plugins.plugins:
        plugins.require(wanted, setting)
    raise ConfigurationError(
        f"{setting} selects '{wanted}', which no plugin offers; choose one of: {', '.join(sorted(settled))}, "
        "or install the plugin that brings it"
    )


def make_selected(setting: str, name: str, make: Callable[[], T]) -> T:
    """What settings select, made. Raises `ConfigurationError` where the plugin that brings it cannot make it."""
    try:
        return make()
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{setting} selects '{name}', which cannot be used: {one_line(error)}") from error
