"""The gallery on disk keeps the contract that every store is held by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from visioncraft.testing import ImageStoreContract
from visioncraft_gallery_fs.store import GalleryStore


class TestGalleryStore(ImageStoreContract):
    """On a real disk, with a real SQLite."""

    @pytest.fixture
    def make_store(self, root: Path) -> Callable[[], GalleryStore]:
        return lambda: GalleryStore(root)
