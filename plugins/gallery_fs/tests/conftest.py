"""Galleries on a real disk with a real SQLite, and pictures to put into them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from visioncraft import Decoders, ImageRecord
from visioncraft.testing import a_picture
from visioncraft_gallery_fs.store import GalleryStore

sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


class LentDecoders(Decoders):
    """Stores use them one after another: a process that decodes takes longer to start than all that tests decode."""

    def close(self) -> None:
        """Stay for the next store."""

    def end(self) -> None:
        """Close for good."""
        super().close()


@pytest.fixture(scope="session")
def decoders() -> Iterator[Decoders]:
    lent = LentDecoders()
    yield lent
    lent.end()


@pytest.fixture
def store(root: Path, decoders: Decoders) -> Iterator[GalleryStore]:
    opened = GalleryStore(root, decoders=lambda: decoders)
    opened.start()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[ImageRecord, bytes]]:
    """`draw(second=3, model="mini")`: a record and the file's bytes; pictures are ten seconds from midnight."""
    return a_picture
