"""Galleries on a real disk with a real SQLite, and pictures to put into them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from visioncraft import ImageRecord
from visioncraft.testing import a_picture
from visioncraft_gallery_fs.store import GalleryStore

sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def store(root: Path) -> Iterator[GalleryStore]:
    opened = GalleryStore(root)
    opened.start()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[ImageRecord, bytes]]:
    """`draw(second=3, model="mini")`: a record and the file's bytes; pictures are ten seconds from midnight."""
    return a_picture
