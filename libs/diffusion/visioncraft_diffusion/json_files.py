"""Configurations of models: JSON in files that nobody vouches for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visioncraft import read_json_object

from visioncraft_diffusion.errors import ModelRefused

_MOST = 64 * 2**20  # bytes: far more than any configuration or index of shards has


def read_json(path: Path, error: type[ModelRefused] = ModelRefused, advice: str = "") -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: The file.
        error: What is raised.
        advice: What to do about it, for the end of the error's text.

    Returns:
        The object.

    Raises:
        ModelRefused: The file is missing, damaged, no regular file, or holds something other than an object. It is of
            the class `error`.
    """
    shown, then = f"{path.parent.name}/{path.name}", f"; {advice}" if advice else ""
    try:
        return read_json_object(path, _MOST)
    except FileNotFoundError:
        raise error(f"{shown} is missing{then}") from None
    except OSError as failure:
        raise error(f"{shown} cannot be read: {failure.strerror}{then}") from failure
    except ValueError as failure:
        raise error(f"{shown} is not a readable JSON object{then}") from failure
