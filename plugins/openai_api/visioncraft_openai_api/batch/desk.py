"""What every batch works with."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import FastAPI
from visioncraft import Service

from visioncraft_openai_api.batch.batches import Batch
from visioncraft_openai_api.batch.database import Database
from visioncraft_openai_api.batch.files import Files
from visioncraft_openai_api.batch.store import Batches
from visioncraft_openai_api.batch.turns import Turns


@dataclass(slots=True)
class Desk:
    """What every batch works with.

    Args:
        service: Draws.
        database: Has files and batches.
        files: All files.
        batches: All batches.
        keep_s: How long what batches write is kept whose senders say nothing of it, in seconds.
        app: The server; None before it has begun.
        turns: How few lines wait at once.
    """

    service: Service
    database: Database
    files: Files
    batches: Batches
    keep_s: int
    app: FastAPI | None = None
    turns: Turns = field(default_factory=Turns)

    def lifetime_s(self, batch: Batch) -> int:
        """For how long what a batch writes is kept, in seconds."""
        return batch.output_expires_s or self.keep_s
