"""Pixels of pictures from elsewhere: upright, seen through where they were, of any size, and within bounds."""

from __future__ import annotations

import io
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_files import A1111, add_missing, the_only_one
from PIL import ExifTags, Image, PngImagePlugin
from visioncraft import Decoders, StorageError, decode_png
from visioncraft.images.metadata import chunk
from visioncraft.settings import PicturesSettings
from visioncraft_gallery_fs.store import GalleryStore


def camera(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0" + A1111.encode()
    return exif


def png_of(picture: Image.Image, *behind_the_head: bytes) -> bytes:
    said, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    said.add_text("parameters", A1111)
    picture.save(buffer, "PNG", pnginfo=said)
    png = buffer.getvalue()
    return png[:33] + b"".join(behind_the_head) + png[33:]


def thumbnail_of(store: GalleryStore) -> Image.Image:
    return Image.open(io.BytesIO(store.thumbnail(the_only_one(store).id)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize(("name", "how"), [("a.jpg", {"quality": 95}), ("a.webp", {"lossless": True})])
def test_what_exif_turns_is_imported_upright(store: GalleryStore, folder: Path, name: str, how: dict[str, Any]) -> None:
    picture = Image.new("RGB", (80, 40))
    picture.paste("white", (0, 0, 40, 40))
    picture.save(folder / name, exif=camera(6), **how)
    assert add_missing(store, folder).skipped == []
    record = the_only_one(store)
    assert (record.width, record.height) == (record.parameters["width"], record.parameters["height"]) == (40, 80)
    pixels = decode_png(store.open(record.id))
    assert pixels.shape == (80, 40, 3) and pixels[5, 20, 0] > 250 and pixels[75, 20, 0] < 5
    assert thumbnail_of(store).size == (40, 80)


def test_what_may_be_seen_through_stays_so(store: GalleryStore, folder: Path) -> None:
    picture = Image.new("RGBA", (16, 8), (250, 30, 30, 0))
    picture.paste((30, 250, 30, 255), (0, 0, 8, 8))
    picture.save(folder / "a.webp", lossless=True, exact=True, exif=camera())
    assert add_missing(store, folder).skipped == []
    with Image.open(io.BytesIO(store.open(the_only_one(store).id))) as kept:
        assert np.array_equal(np.asarray(kept), np.asarray(picture))
    alpha = np.asarray(thumbnail_of(store).convert("RGBA"))[..., 3]
    assert alpha[:, :6].min() == 255 and alpha[:, 10:].max() == 0


def test_sixteen_bits_have_a_thumbnail_as_dark_as_eight(store: GalleryStore, folder: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    (folder / "a.png").write_bytes(png_of(Image.fromarray(ramp)))
    assert add_missing(store, folder).skipped == []
    assert abs(np.asarray(thumbnail_of(store).convert("L")).mean() - 127.5) < 3


@pytest.mark.parametrize("said", [b"w\0\0" + zlib.compress(b"a" * 2_000_000), b"w\0\0no zlib"])
def test_text_that_is_long_or_damaged_keeps_no_picture_out(store: GalleryStore, folder: Path, said: bytes) -> None:
    (folder / "a.png").write_bytes(png_of(Image.new("RGB", (64, 48), "red"), chunk(b"zTXt", said)))
    assert add_missing(store, folder).skipped == []
    assert thumbnail_of(store).size == (64, 48)


def test_a_very_large_picture_has_a_thumbnail(store: GalleryStore, folder: Path) -> None:
    (folder / "a.png").write_bytes(png_of(Image.new("1", (9000, 8000), 1)))
    assert add_missing(store, folder).skipped == []
    thumbnail = thumbnail_of(store)
    assert thumbnail.size == (256, 228) and np.asarray(thumbnail).min() > 250


def test_one_that_is_too_large_for_a_thumbnail_is_told_so_and_is_not_called_damaged(root: Path, folder: Path) -> None:
    store = GalleryStore(root, decoders=partial(Decoders, PicturesSettings(memory_limit_mb=64)))
    store.start()
    (folder / "a.png").write_bytes(png_of(Image.new("RGB", (7000, 7000))))
    assert add_missing(store, folder).skipped == []
    record = the_only_one(store)
    with pytest.raises(StorageError) as caught:
        store.thumbnail(record.id)
    assert caught.value.message == f"{record.filename} is too large for a thumbnail; open the picture itself"
    store.close()


def test_a_file_that_takes_too_much_to_decode_is_left_out_by_its_name_and_the_others_come_in(
    root: Path, folder: Path
) -> None:
    bounds = PicturesSettings(decoders=1, time_limit_s=1)
    store = GalleryStore(root, decoders=partial(Decoders, bounds))
    store.start()
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 4000), (128, 128, 128)).save(buffer, "JPEG", progressive=True, exif=camera())
    jpeg = buffer.getvalue()
    last = jpeg.rindex(b"\xff\xda")
    (folder / "a.jpg").write_bytes(jpeg[:-2] + jpeg[last:-2] * 3000 + jpeg[-2:])
    (folder / "b.png").write_bytes(png_of(Image.new("RGB", (64, 48))))
    (folder / "c.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    tally = add_missing(store, folder)
    assert tally.added.total() == 1
    dear, torn = tally.skipped
    assert dear.startswith(f"{folder / 'a.jpg'}: ") and "pictures.time_limit_s" in dear
    assert torn.startswith(f"{folder / 'c.jpg'}: Not a readable ")
    store.close()


def test_a_damaged_picture_is_named_without_the_folders_of_this_machine(store: GalleryStore, folder: Path) -> None:
    (folder / "a.png").write_bytes(png_of(Image.new("RGB", (64, 48), "red")))
    add_missing(store, folder)
    record = the_only_one(store)
    (file,) = store.root.rglob(record.filename)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(StorageError) as caught:
        store.thumbnail(record.id)
    assert caught.value.message.startswith(f"{record.filename}: Not a readable PNG")
    assert caught.value.message.endswith("restore it from a copy")
