"""What the core itself offers through its own hooks."""

from __future__ import annotations

from visioncraft.contracts import ImageStore
from visioncraft.hookspecs import hookimpl
from visioncraft.stores import MemoryStore


@hookimpl
def visioncraft_stores() -> list[ImageStore]:
    """Pictures in memory: for tests, and for a server without a gallery plugin."""
    return [MemoryStore()]
