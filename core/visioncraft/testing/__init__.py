"""What plugin authors test with: contracts to inherit, fakes, and the server on a real socket.

pytest finds the fixtures by itself where `visioncraft[testing]` is installed (`pytest_plugin`). These names load when
first used, so that installing the core slows no other project's tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visioncraft.gallery.memory import MemoryStore
    from visioncraft.testing.contracts.base import overridden
    from visioncraft.testing.contracts.generator import GeneratorContract
    from visioncraft.testing.contracts.ledger import LedgerContract, SharedLedgerContract
    from visioncraft.testing.contracts.pool import WorkerPoolContract
    from visioncraft.testing.contracts.store import ImageStoreContract, a_picture
    from visioncraft.testing.fakes import FakeGenerator, Recorder, one_colour
    from visioncraft.testing.server import PATIENCE_S, House, Server, free_port, listening, served

_HOME_OF = {
    "PATIENCE_S": "visioncraft.testing.server",
    "FakeGenerator": "visioncraft.testing.fakes",
    "GeneratorContract": "visioncraft.testing.contracts.generator",
    "House": "visioncraft.testing.server",
    "ImageStoreContract": "visioncraft.testing.contracts.store",
    "LedgerContract": "visioncraft.testing.contracts.ledger",
    "MemoryStore": "visioncraft.gallery.memory",
    "Recorder": "visioncraft.testing.fakes",
    "Server": "visioncraft.testing.server",
    "SharedLedgerContract": "visioncraft.testing.contracts.ledger",
    "WorkerPoolContract": "visioncraft.testing.contracts.pool",
    "a_picture": "visioncraft.testing.contracts.store",
    "free_port": "visioncraft.testing.server",
    "listening": "visioncraft.testing.server",
    "one_colour": "visioncraft.testing.fakes",
    "overridden": "visioncraft.testing.contracts.base",
    "served": "visioncraft.testing.server",
}

__all__ = [
    "PATIENCE_S",
    "FakeGenerator",
    "GeneratorContract",
    "House",
    "ImageStoreContract",
    "LedgerContract",
    "MemoryStore",
    "Recorder",
    "Server",
    "SharedLedgerContract",
    "WorkerPoolContract",
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
