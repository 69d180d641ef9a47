"""Pictures for the scripts beside this one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from visioncraft import ImageRecord, encode_png, image_filename, new_image_id, with_record

PNG = encode_png(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))


def record_and_png(image_id: str | None = None) -> tuple[ImageRecord, bytes]:
    image_id, now = image_id or new_image_id(), datetime.now(UTC)
    record = ImageRecord(image_id, image_filename(image_id, now), "a red apple", "", "mini", 1, 300, 200, 0.1, 0.0, now)
    return record, with_record(PNG, record)
