"""Taking in pictures that were drawn elsewhere, or by another of our galleries."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from visioncraft import (
    FACT_LEFT_OUT,
    FACT_ORIGINAL_SEED,
    ImageRecord,
    Marks,
    StorageError,
    image_filename,
    is_image_id,
    new_image_id,
    read_record,
    whole_text,
    with_record,
)

from visioncraft_gallery_fs.files.sidecars import read_marks
from visioncraft_gallery_fs.transfer.foreign.metadata import ForeignMetadata
from visioncraft_gallery_fs.transfer.foreign.pictures import ENDINGS, ForeignPicture, read_picture

if TYPE_CHECKING:
    from visioncraft_gallery_fs.store import GalleryStore

_UNKNOWN_MODEL = "unknown"


@dataclass(slots=True)
class Imported:
    """What an import did.

    Args:
        added: New pictures, by the program that drew them.
        unseeded: How many of them had a seed that no picture here can have.
        known: Files whose picture the gallery had already.
        skipped: One sentence for each file that was not taken, and for each folder that could not be read.
    """

    added: Counter[str] = field(default_factory=Counter)
    unseeded: int = 0
    known: int = 0
    skipped: list[str] = field(default_factory=list)


def picture_files(folder: Path, tally: Imported) -> list[Path]:
    """Every picture's file in a folder and below, in a steady order. Links and pipes are passed over.

    A folder that cannot be read counts as skipped in `tally`.
    """

    def skip(error: OSError) -> None:
        tally.skipped.append(f"{error.filename}: cannot be read: {error.strerror}")

    found = (Path(place, name) for place, _, names in os.walk(folder, onerror=skip) for name in names)
    return sorted(path for path in found if path.suffix.lower() in ENDINGS and _is_plain(path))


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return True  # reading it will say why not


def import_files(store: GalleryStore, files: list[Path], tally: Imported) -> Iterator[None]:
    """Take in files one by one and count them in `tally`; yields after each.

    A picture lasts as soon as its turn is over, and a file whose content was taken before is passed over, so that an
    import that was cut off goes on where it ended when it is started again.
    """
    for file in files:
        try:
            program = _take(store, file, tally)
        except StorageError as error:
            tally.skipped.append(error.message if str(file) in error.message else f"{file}: {error.message}")
        else:
            tally.added.update([program] if program else [])
            tally.known += program is None
        yield


def _take(store: GalleryStore, file: Path, tally: Imported) -> str | None:
    """Import one file; answers the program that drew it, None for a picture that is there already."""
    try:
        content, modified = file.read_bytes(), file.stat().st_mtime
    except OSError as error:
        raise StorageError(f"{file}: cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if store.has_import(digest):
        return None
    own = read_record(content) if content.startswith(b"\x89PNG") else None
    if own is not None and is_image_id(own.id):
        return _take_own(store, file, own, content, digest)
    picture = read_picture(content, store.decoders)
    if picture.found is None:
        raise StorageError(f"{file}: no parameters of a program that is known inside")
    record = _record(picture, picture.found, file, modified, digest)
    _save(store, file, record, with_record(picture.png, record, foreign=True))
    tally.unseeded += FACT_ORIGINAL_SEED in record.facts
    return picture.found.program


def _take_own(store: GalleryStore, file: Path, record: ImageRecord, content: bytes, digest: str) -> str | None:
    """A picture of ours keeps its id and its bytes, and brings its marks along."""
    known = store.hash_of(record.id)
    if known is not None:
        if known != digest:
            raise StorageError(f"{file}: the gallery has {record.id} with other content; not imported")
        return None
    store.decoders.check_png(content)
    kept = _save(store, file, record, content)
    marks = read_marks(file)
    if marks != Marks():
        store.mark(kept.id, marks)
    return "visioncraft"


def _save(store: GalleryStore, file: Path, record: ImageRecord, png: bytes) -> ImageRecord:
    """As `GalleryStore.save`, but tells of a picture that is surplus by its date: nobody shall take it for kept."""
    kept = store.save(record, png)
    if store.hash_of(kept.id) is None:
        raise StorageError(f"{file}: not kept: past keep_days, keep_pictures or keep_gb of [plugins.config.gallery_fs]")
    return kept


def _record(picture: ForeignPicture, found: ForeignMetadata, file: Path, modified: float, digest: str) -> ImageRecord:
    image_id, moment = new_image_id(), datetime.fromtimestamp(modified, UTC)
    record = ImageRecord(
        id=image_id,
        filename=image_filename(image_id, moment),
        prompt=_whole_characters(found.prompt),
        negative_prompt=_whole_characters(found.negative_prompt),
        model=_whole_characters(found.model) or _UNKNOWN_MODEL,
        seed=found.seed,
        width=picture.width,
        height=picture.height,
        generation_time=0.0,
        vram_used=0.0,
        created_at=moment,
        parameters={**found.parameters, "width": picture.width, "height": picture.height},
        facts={
            **found.facts,
            **({FACT_LEFT_OUT: list(found.left_out)} if found.left_out else {}),
            "generator": found.program,
            "imported": {"sha256": digest, "file": file.name},
        },
    )
    return replace(record, parameters={"prompt": record.prompt, **record.parameters})


def _whole_characters(text: str) -> str:
    return whole_text(text).replace("\0", " ")
