"""Pictures as other programs write them, and a way to take them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from visioncraft import ImageRecord
from visioncraft_gallery_fs import importing
from visioncraft_gallery_fs.store import GalleryStore

A1111 = (
    "masterpiece, a (red:1.2) apple, <lora:x:1>\nsecond line\nNegative prompt: blurry,\nlow quality\n"
    "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 64x48, "
    'Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "x: 1a2b, y: 3c4d", Version: v1.10.1'
)
PIXELS = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def write_png(file: Path, **texts: str) -> bytes:
    """As other programs write it, with Pillow."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(file, pnginfo=info)
    return file.read_bytes()


def take_in(store: GalleryStore, folder: Path) -> importing.Imported:
    tally = importing.Imported()
    for _ in importing.import_files(store, importing.picture_files(folder), tally):
        pass
    return tally


def the_only_one(store: GalleryStore) -> ImageRecord:
    (record,) = store.list(5).items
    return record
