"""Where `visioncraft generate` writes pictures."""

from __future__ import annotations

from pathlib import Path


def writable(output: Path | None) -> Path:
    """The file or folder to write to, tried now: a picture may take minutes. Raises `StorageError`."""
    target = Path.cwd() if output is None else output
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


def write(target: Path, filename: str, png: bytes, number: int | None = None) -> Path:
    """Write one picture; answers its file. Raises `StorageError`.

    Args:
        target: A file, or a folder.
        filename: The gallery's name for it, which it has in a folder.
        png: The file's bytes.
        number: Of a picture among several, which stands behind a file's name: `apple-2.png`.
    """
    several = target if number is None else target.with_stem(f"{target.stem}-{number}")
    file = target / filename if target.is_dir() else several
    try:
        file.write_bytes(png)
    except OSError as error:
        raise _unwritable(file, f"{error.strerror}, but the gallery has it as {filename}") from error
    return file


def _unwritable(path: Path, reason: str | None) -> Exception:
    from visioncraft.errors import StorageError

    return StorageError(f"{path} cannot be written: {reason}; choose another file with -o")
