"""Images that clients upload, and the names under which `LoadImage` finds them: keys, and never paths."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from visioncraft import InvalidRequest, NotFound, Service, StorageError

from visioncraft_comfyui_api.store import Store

MOST_BYTES = 32 * 2**20
"""Of one file; the server takes no larger images."""

_KINDS = ("input", "output", "temp")
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_ANNOTATED = re.compile(r"(.*) \[(input|output|temp)\]")
_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client means a file to be: checked, and only ever a key.

    Args:
        kind: `input`, `output` or `temp`.
        subfolder: Names with `/` between them; empty for none.
        name: The file's.
        owner: Whose uploads are meant: nobody sees another's.
    """

    kind: str
    subfolder: str
    name: str
    owner: str = ""

    @classmethod
    def checked(cls, name: str, subfolder: str = "", kind: str = "input", owner: str = "") -> Place:
        """A place that a client names. Raises `InvalidRequest`."""
        folders = [part for part in subfolder.replace("\\", "/").strip("/").split("/") if part]
        if kind not in _KINDS:
            raise InvalidRequest.of("type", f"one of: {', '.join(_KINDS)}")
        for part in (name, *folders):
            if not _NAME.fullmatch(part) or part in (".", ".."):
                raise InvalidRequest.of(
                    "filename", "names without /, control characters or .., of at most 200 characters"
                )
        return cls(kind, "/".join(folders), name, owner)

    @classmethod
    def annotated(cls, text: str, owner: str) -> Place:
        """As `LoadImage` names it: `folder/name.png`, with ` [output]` behind it for one that was drawn."""
        found = _ANNOTATED.fullmatch(text)
        path, kind = (found[1], found[2]) if found else (text, "input")
        folder, _, name = path.replace("\\", "/").rpartition("/")
        return cls.checked(name, folder, kind, owner)

    @property
    def key(self) -> tuple[str, str, str]:
        """An upload's key in the store."""
        return kind_of(self.kind, self.owner), self.subfolder, self.name


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a name means.

    Args:
        image: Its bytes, or the id of an image in the gallery.
        mask: An image whose transparency is the mask, where that was uploaded apart; else None.
    """

    image: bytes | str
    mask: bytes | None = None


class Uploads:
    """The folder of uploaded images, by the digests of their content.

    Args:
        folder: The plugin's own.
        store: Knows their names.
        most_mb: How much they may take; the longest unused go first.
        service: Has the gallery, as whoever asks may see it.
    """

    def __init__(self, folder: Path, store: Store, most_mb: int, service: Service) -> None:
        self._folder, self._store, self._service = folder / "uploads", store, service
        self._most = most_mb * 2**20
        self._keeping = threading.Lock()  # a file is nobody's until its name is kept, and a name free until it is taken
        with suppress(OSError):  # an upload says what is wrong then
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def keep(self, place: Place, content: bytes, overwrite: bool, mask_of: Place | None = None) -> Place:
        """Keep an uploaded image; answers its place, which has another name where that one was taken.

        Args:
            place: Where it is meant to be.
            content: The file.
            overwrite: Whether it takes the place of another one.
            mask_of: The image whose mask this is, by its transparency.

        Raises `InvalidRequest` for what is no image, and `StorageError` where the disk takes none.
        """
        if media_type(content) is None:
            raise InvalidRequest.of("image", "a PNG, JPEG, WebP, GIF or BMP file")
        return await asyncio.to_thread(self._keep, place, content, overwrite, mask_of)

    async def find(self, name: str, owner: str) -> Found | None:
        """The image that a node names; None where there is none. Raises `InvalidRequest` for what is no name."""
        return await asyncio.to_thread(self._find, Place.annotated(name, owner))

    async def open(self, place: Place) -> bytes | None:
        """The bytes of an uploaded file; None where there is none."""
        found = await asyncio.to_thread(self._find, place)
        return found.image if found is not None and isinstance(found.image, bytes) else None

    async def image_of(self, place: Place) -> str | None:
        """The gallery's image that a file's name means; None for a name that was never given."""
        return await asyncio.to_thread(self._store.image_of, place.kind, place.subfolder, place.name)

    def names(self, owner: str) -> list[str]:
        """As `LoadImage` lists them, the newest first."""
        own = kind_of("input", owner)
        listed = [(subfolder, name) for kind, subfolder, name, *_ in self._store.uploads() if kind == own]
        return [f"{subfolder}/{name}" if subfolder else name for subfolder, name in reversed(listed)]

    def _keep(self, place: Place, content: bytes, overwrite: bool, mask_of: Place | None) -> Place:
        with self._keeping:
            digest, mask = self._write(content), ""
            if mask_of is not None:
                original = self._digest_of(mask_of)
                digest, mask = original, digest
            if not overwrite:
                place = self._free(place, digest, mask)
            self._store.keep_upload(place.key, digest, mask, len(content))
            self._make_room(place)
        return place

    def _digest_of(self, place: Place) -> str:
        known = self._store.upload(*place.key)
        if known is not None:
            return known[0]
        found = self._find(place)
        if found is None or not isinstance(found.image, str):
            raise InvalidRequest.of("original_ref", f"there is no image {place.name}; upload it first")
        return self._write(self._service.store.open(found.image))

    def _write(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path, part = self._folder / digest, self._folder / f"{digest}.part-{os.urandom(4).hex()}"
        if not path.exists():
            try:
                with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
                part.replace(path)
            except OSError as error:
                part.unlink(missing_ok=True)
                raise StorageError(f"an uploaded image cannot be kept: {error.strerror}") from error
        return digest

    def _free(self, place: Place, digest: str, mask: str) -> Place:
        """The place itself, or one of the same name with a number, as ComfyUI counts them."""
        stem, dot, ending = place.name.rpartition(".")
        candidate, number = place, 1
        while (known := self._store.upload(*candidate.key)) is not None and known != (digest, mask):
            name = f"{stem} ({number}){dot}{ending}" if dot else f"{place.name} ({number})"
            candidate, number = Place.checked(name, place.subfolder, place.kind, place.owner), number + 1
        return candidate

    def _make_room(self, newest: Place) -> None:
        kept = self._store.uploads()
        total = sum(size for *_, size in kept)
        for kind, subfolder, name, _digest, _mask, size in kept:
            if total <= self._most or (kind, subfolder, name) == newest.key:
                break
            self._store.drop_upload(kind, subfolder, name)
            total -= size
        used = {digest for *_, digest, mask, _size in self._store.uploads() for digest in (digest, mask)}
        for file in self._folder.iterdir():
            if file.name not in used and ".part-" not in file.name:
                file.unlink(missing_ok=True)

    def _find(self, place: Place) -> Found | None:
        known = self._store.upload(*place.key)
        if known is not None:
            with suppress(FileNotFoundError):
                mask = (self._folder / known[1]).read_bytes() if known[1] else None
                return Found((self._folder / known[0]).read_bytes(), mask)
        image_id = self._store.image_of(place.kind, place.subfolder, place.name)
        return Found(image_id) if image_id is not None and self._is_there(image_id) else None

    def _is_there(self, image_id: str) -> bool:
        try:
            self._service.store.get(image_id)
        except NotFound:
            return False
        return True


def kind_of(kind: str, owner: str) -> str:
    """The kind of somebody's uploads, as the store has it."""
    return f"{kind}:{owner}" if owner else kind


def media_type(content: bytes) -> str | None:
    """The type of an image's file by how it begins; None for what is none of those that the server takes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _TYPES.items() if content.startswith(start)), None)
