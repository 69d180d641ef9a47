"""What the core itself offers through its own hooks."""

from __future__ import annotations

from visioncraft.gallery.memory import MemoryStore
from visioncraft.plugins.contracts import ImageStore
from visioncraft.plugins.hookspecs import hookimpl


@hookimpl
def visioncraft_stores() -> list[ImageStore]:
    """Pictures in memory: for tests, and for a server without a gallery plugin."""
    return [MemoryStore()]
