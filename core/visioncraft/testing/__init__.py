"""What plugin authors test with: contracts to inherit, fakes, and the server on a real socket.

pytest finds the fixtures by itself where `visioncraft[testing]` is installed (`pytest_plugin`). These names load when
first used, so that installing the core slows no other project's tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visioncraft.stores import MemoryStore
    from visioncraft.testing.contract import overridden
    from visioncraft.testing.fakes import FakeGenerator, Recorder, one_colour
    from visioncraft.testing.generators import GeneratorContract
    from visioncraft.testing.serving import PATIENCE_S, House, Server, free_port, listening, served
    from visioncraft.testing.stores import ImageStoreContract, a_picture

_HOME_OF = {
    "PATIENCE_S": "visioncraft.testing.serving",
    "FakeGenerator": "visioncraft.testing.fakes",
    "GeneratorContract": "visioncraft.testing.generators",
    "House": "visioncraft.testing.serving",
    "ImageStoreContract": "visioncraft.testing.stores",
    "MemoryStore": "visioncraft.stores",
    "Recorder": "visioncraft.testing.fakes",
    "Server": "visioncraft.testing.serving",
    "a_picture": "visioncraft.testing.stores",
    "free_port": "visioncraft.testing.serving",
    "listening": "visioncraft.testing.serving",
    "one_colour": "visioncraft.testing.fakes",
    "overridden": "visioncraft.testing.contract",
    "served": "visioncraft.testing.serving",
}

__all__ = [
    "PATIENCE_S",
    "FakeGenerator",
    "GeneratorContract",
    "House",
    "ImageStoreContract",
    "MemoryStore",
    "Recorder",
    "Server",
    "a_picture",
    "free_port",
    "listening",
    "one_colour",
    "overridden",
    "served",
]


def __getattr__(name: str) -> object:
    """Load a name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'visioncraft.testing' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
