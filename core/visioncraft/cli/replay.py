"""`visioncraft.replay`: an image drawn again from what its record says, for commands of plugins."""

from __future__ import annotations

from visioncraft.cli.progress import watched
from visioncraft.jobs.requests import request_fields
from visioncraft.runtime.client import Client
from visioncraft.runtime.one_shot import drawn_here, drawn_there, unwatched
from visioncraft.settings import Settings
from visioncraft.types.gallery import ImageRecord


def replay(settings: Settings, record: ImageRecord, bar: bool = False) -> tuple[ImageRecord, bytes]:
    """Draw the picture that a record tells of and keep it in the gallery that the settings select.

    Args:
        settings: A server that has their data folder draws it; without one this process does.
        record: What was drawn.
        bar: Show on stderr how far it is.

    Returns:
        The new picture's record and its file's bytes.

    Raises:
        ModelNotAvailable: The record's model is not here.
        InvalidRequest: The record asks for what the model does not do.
    """
    asked, watch = request_fields(record), watched if bar else unwatched
    server = Client.of_running(settings)
    drawn = drawn_there(server, asked, watch) if server else drawn_here(settings, asked, watch)
    return drawn[0].record, drawn[0].png
