"""Saving and listing pictures: `python -m benchmarks.gallery`, or as a part of `make bench`.

Every figure stands beside a peer from the same run on the same disk, so that the ratio means something anywhere.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from visioncraft import ImageRecord, encode_png, with_record
from visioncraft.types.ids import image_filename, new_image_id
from visioncraft_gallery_fs.store import GalleryStore

from benchmarks import million

SIDE = 1024

Row = tuple[str, str, str]


def rows() -> list[Row]:
    """What was measured, ours, and the peer with the ratio: one row for each figure."""
    pixels = _picture()
    # In the working folder, because the system's temporary folder may lie in memory, where an fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-gallery-") as folder:
        return [*_encoding(pixels), *_saving(pixels, Path(folder) / "save"), *million.rows(Path(folder) / "million")]


def _encoding(pixels: NDArray[np.uint8]) -> Iterator[Row]:
    what, ours = f"encode {SIDE}x{SIDE} as PNG", _median_ms(lambda: encode_png(pixels), 15)
    default = _median_ms(lambda: _pillow(pixels), 5)
    level_1 = _median_ms(lambda: _pillow(pixels, compress_level=1), 5)
    yield what, f"{ours:.1f} ms", _times("Pillow's default", default, ours)
    yield what, f"{ours:.1f} ms", _times("Pillow, level 1", level_1, ours)
    size, peer = len(encode_png(pixels)) / 2**20, len(_pillow(pixels)) / 2**20
    yield f"size of that {SIDE}x{SIDE} PNG", f"{size:.2f} MiB", f"Pillow's default {peer:.2f} MiB"


def _saving(pixels: NDArray[np.uint8], root: Path) -> Iterator[Row]:
    """From pixels to a file on both sides; ours also holds its record, is on the disk and in the index."""
    store = _started(root)

    def save() -> None:
        record = _record(0)
        store.save(record, with_record(encode_png(pixels), record))

    ours = _median_ms(save, 15)
    peer = _median_ms(lambda: Image.fromarray(pixels).save(root / "pillow.png"), 5)
    store.close()
    what = f"encode and save {SIDE}x{SIDE}: fsync of file and folder, row committed"
    yield what, f"{ours:.1f} ms", _times("Pillow's default save, no fsync,", peer, ours)


def _started(root: Path) -> GalleryStore:
    store = GalleryStore(root)
    store.start()
    return store


def _picture() -> NDArray[np.uint8]:
    """Smooth colours and a little noise: what deflate finds in a drawn picture, not what it finds in white or chaos."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
    return np.clip(smooth + random.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def _record(number: int) -> ImageRecord:
    image_id, moment = new_image_id(), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return ImageRecord(
        id=image_id,
        filename=image_filename(image_id, moment),
        prompt="A beautiful landscape with mountains, soft light, 35 mm, highly detailed",
        negative_prompt="blurry, low quality",
        model=f"model-{number % 3}",
        seed=number,
        width=SIDE,
        height=SIDE,
        generation_time=12.34,
        vram_used=4.2,
        created_at=moment,
        parameters={"num_inference_steps": 20, "guidance_scale": 7.5, "width": SIDE, "height": SIDE},
        facts={"sampler": "euler_a", "dtype": "float16"},
    )


def _pillow(pixels: NDArray[np.uint8], **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def _median_ms(work: Callable[[], object], repeats: int) -> float:
    work()  # the first one imports and fills caches

    def timed() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return 1000 * statistics.median(timed() for _ in range(repeats))


def _times(peer: str, theirs: float, ours: float) -> str:
    return f"{peer} {theirs:.1f} ms: {theirs / ours:.1f} times as long"


if __name__ == "__main__":
    for cells in rows():
        print(" | ".join(cells))
