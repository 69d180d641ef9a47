"""Where `visioncraft generate` writes pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visioncraft.runtime.one_shot import Drawn

_KINDS = {"": "png", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""What a file holds, by the end of its name."""


def writable(output: Path | None) -> Path:
    """The file or folder to write to, tried now: a picture may take minutes.

    Raises `StorageError` where it cannot be written, and for a name whose end asks for what no picture is written as.
    """
    target = Path.cwd() if output is None else output
    if not target.is_dir() and target.suffix.lower() not in _KINDS:
        raise _unwritable(target, f"{target.suffix} is none of {', '.join(filter(None, _KINDS))}")
    if target.is_dir():
        _try(target / f".visioncraft-{id(target):x}", target)
    elif not target.parent.is_dir():
        raise _unwritable(target, f"the folder {target.parent} does not exist")
    else:
        _try(target, target)
    return target


def _try(file: Path, named: Path) -> None:
    existed = file.exists()
    try:
        file.open("ab").close()
        if not existed:
            file.unlink()
    except OSError as error:
        raise _unwritable(named, error.strerror) from error


def write(target: Path, drawn: Drawn, number: int | None = None) -> Path:
    """Write one picture as the end of its file's name says; answers the file. Raises `StorageError`.

    Args:
        target: A file, or a folder, in which it has the gallery's name for it.
        drawn: The picture.
        number: Of a picture among several, which stands behind a file's name: `apple-2.png`.
    """
    several = target if number is None else target.with_stem(f"{target.stem}-{number}")
    file = target / drawn.record.filename if target.is_dir() else several
    try:
        file.write_bytes(_as_named(drawn, file))
    except OSError as error:
        raise _unwritable(file, f"{error.strerror}, but the gallery has it as {drawn.record.filename}") from error
    return file


def _as_named(drawn: Drawn, file: Path) -> bytes:
    from visioncraft.images.png import converted

    kind = _KINDS[file.suffix.lower()]
    return drawn.png if kind == "png" else converted(drawn.png, kind, drawn.record)


def _unwritable(path: Path, reason: str | None) -> Exception:
    from visioncraft.errors import StorageError

    return StorageError(f"{path} cannot be written: {reason}; choose another file with -o")
