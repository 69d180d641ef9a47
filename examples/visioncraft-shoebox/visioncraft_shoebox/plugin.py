"""Pictures as files in one folder. The records are read back from the files themselves."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from visioncraft import (
    ALL_IMAGES,
    GalleryQuery,
    ImageRecord,
    ImageStore,
    NotFound,
    Page,
    Settings,
    StorageError,
    hookimpl,
    is_image_id,
    paginate,
    read_record_file,
)


class Shoebox(ImageStore):
    """Goes through every file at every question: good for hundreds of pictures, not for a million."""

    name = "shoebox"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = Lock()

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def save(self, record: ImageRecord, png: bytes) -> ImageRecord:
        with self._writing:
            if self._file(record.id).exists():
                raise StorageError(f"Picture {record.id} is already stored")
            draft = self._file(record.id).with_suffix(".part")
            draft.write_bytes(png)
            draft.replace(self._file(record.id))
        return record

    def get(self, image_id: str) -> ImageRecord:
        record = read_record_file(self._found(image_id))
        if record is None:
            raise NotFound(f"{image_id}: the file holds no record")
        return record

    def open(self, image_id: str) -> bytes:
        try:
            return self._found(image_id).read_bytes()
        except OSError as error:
            raise StorageError(f"{image_id}: cannot be read: {error.strerror}") from error

    def list(self, limit: int, offset: int = 0, query: GalleryQuery = ALL_IMAGES, cursor: str | None = None) -> Page:
        return paginate(self._records(), limit, offset, query, cursor)

    def delete(self, image_id: str) -> None:
        try:
            self._found(image_id).unlink()
        except FileNotFoundError:
            raise NotFound(f"No picture {image_id}") from None

    def count(self) -> int:
        return sum(1 for _ in self._folder.glob("img_*.png"))

    def _records(self) -> Iterator[ImageRecord]:
        for file in self._folder.glob("img_*.png"):
            try:
                record = read_record_file(file)
            except StorageError:
                continue  # deleted meanwhile, or no picture of ours
            if record is not None:
                yield record

    def _file(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.png"

    def _found(self, image_id: str) -> Path:
        if not is_image_id(image_id) or not self._file(image_id).is_file():
            raise NotFound(f"No picture {image_id[:64]!r}")
        return self._file(image_id)


@hookimpl
def visioncraft_stores(settings: Settings) -> Sequence[ImageStore]:
    return [Shoebox(settings.data_path / "shoebox")]
