"""A gallery's start: what a crash left is swept, and its index opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from visioncraft import ConfigurationError, StorageError

from visioncraft_gallery_fs.files import disk, durable
from visioncraft_gallery_fs.index.live import LiveIndex

log = logging.getLogger("visioncraft.gallery_fs")


def start_index(root: Path, open_index: Callable[[LiveIndex], None], strict: bool) -> LiveIndex:
    """Open the index of a gallery, where nothing can be written for reading alone.

    Args:
        root: The gallery's folder.
        open_index: Opens the index in the way that its user needs.
        strict: Refuse a gallery that cannot be written.

    Returns:
        The open index.

    Raises:
        ConfigurationError: The folder or the index cannot be used; the message has the next step.
    """
    hindered = disk.write_problem(root)
    if hindered is not None and strict:
        raise ConfigurationError(hindered)
    index = LiveIndex(root)
    try:
        swept = durable.sweep(root)
        open_index(index)
        if hindered is None:
            durable.sync_folder(root)
    except StorageError as error:
        raise ConfigurationError(error.message) from error
    except OSError as error:
        raise ConfigurationError(f"{error.filename or root}: {durable.reason(error)}") from error
    if hindered is not None and not index.read_only:
        log.warning("%s. Until then the gallery is for reading alone", hindered)
    if swept:
        log.info("%s: removed %s temporary files that a crash had left", root, swept)
    return index
