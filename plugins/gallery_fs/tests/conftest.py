"""Galleries on a real disk with a real SQLite, and pictures to put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from visioncraft import ImageRecord, encode_png, with_record
from visioncraft.ids import image_filename, new_image_id
from visioncraft_gallery_fs.store import GalleryStore

Drawn = tuple[ImageRecord, bytes]
START = datetime(2026, 11, 23, 23, 59, 50, 123456, tzinfo=UTC)
PNG = encode_png(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


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
def draw() -> Callable[..., Drawn]:
    """`draw(second=3, model="mini")`: a record and the file's bytes; pictures are ten seconds from midnight."""

    def _draw(second: int = 0, model: str = "mini", prompt: str = "a red apple, 苹果") -> Drawn:
        image_id, moment = new_image_id(), START + timedelta(seconds=second)
        record = ImageRecord(
            id=image_id,
            filename=image_filename(image_id, moment),
            prompt=prompt,
            negative_prompt="blurry",
            model=model,
            seed=2**63 - 1,
            width=64,
            height=48,
            generation_time=1.25,
            vram_used=3.5,
            created_at=moment,
            parameters={"num_inference_steps": 20, "guidance_scale": 7.5},
            facts={"sampler": "euler_a", "upstream": {"id": 2**70}},
        )
        return record, with_record(PNG, record)

    return _draw
