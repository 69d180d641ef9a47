"""Words of many scripts, as people type them and as their system writes them, are found on disk and in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from visioncraft import GalleryQuery, ImageRecord
from visioncraft.gallery.memory import MemoryStore
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]
APART = "cafe\u0301s"
"""The accent behind its letter, as macOS writes it."""


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("two cafés", "CAFÉS"),
        ("two cafés", APART),
        ("two cafés", '"two cafe"*'),
        (f"two {APART}", "cafés"),
        ("İstanbul", "istanbul"),
        ("istanbul", "İstanbul"),
        ("İstanbul", "İstanbul"),
        ("tiếng Việt", "tieng việt"),
        ("हिन्दी, क़लम", "हिन्दी क़लम"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("한국어", "한국어"),
        ("一只猫，红色", "红色"),
    ],
)
def test_words_are_found_however_their_accents_are_written(
    prompt: str, text: str, store: GalleryStore, draw: Draw
) -> None:
    record, png = draw()
    other, _ = draw(second=1)
    for each in (store, memory := MemoryStore()):
        each.save(replace(record, prompt=prompt), png)
        each.save(replace(other, prompt="another"), png)
    for each in (store, memory):
        assert [found.id for found in each.list(5, query=GalleryQuery(text=text)).items] == [record.id]
