"""The installed plugins, as every command finds them: `runtime.py` needs the database too, which most do without."""

from __future__ import annotations

import logging
from collections.abc import Callable

from visioncraft._version import __version__
from visioncraft.gallery import plugin as builtin
from visioncraft.plugins.manager import PluginManager
from visioncraft.probing import Probe
from visioncraft.settings import Settings
from visioncraft.workers.isolated import IsolatedPlugin

log = logging.getLogger(__name__)


def discovered(settings: Settings, tell: Callable[[str], None] = log.warning) -> PluginManager:
    """A manager with the core's own plugin and all installed ones.

    Args:
        settings: Say which plugins may load.
        tell: Says which plugin is waited for, where one takes long.
    """
    manager = PluginManager(settings)
    manager.register(builtin, "memory", version=__version__)
    manager.discover(probe=Probe(settings, tell), isolate=IsolatedPlugin)
    return manager
