"""From a drawn picture to a kept one: its record, its bytes, its place in the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from visioncraft.contracts import ImageStore
from visioncraft.errors import NotFound, VisionCraftError
from visioncraft.ids import image_filename, image_time
from visioncraft.images import with_record
from visioncraft.jobs.job import Job
from visioncraft.types import GeneratedImage, ImageRecord


class Keeper:
    """Puts pictures into the store, each once."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def check_room(self) -> None:
        """Raise `StorageError` where no further picture would fit, before anything is drawn."""
        await asyncio.to_thread(self._store.check_room)

    async def keep(self, job: Job, generator: str, image: GeneratedImage) -> tuple[ImageRecord, bytes]:
        """Store a job's picture; answers its record and the bytes as stored. Raises `StorageError`."""
        return await asyncio.to_thread(self._save, record_of(job, generator, image), image.png)

    async def kept(self, image_id: str) -> ImageRecord | None:
        """The record of a picture that an earlier server may have stored just before it ended."""
        try:
            return await asyncio.to_thread(self._store.get, image_id)
        except NotFound:
            return None

    def _save(self, record: ImageRecord, png: bytes) -> tuple[ImageRecord, bytes]:
        whole = with_record(png, record)
        return self._store.save(record, whole), whole


def record_of(job: Job, generator: str, image: GeneratedImage) -> ImageRecord:
    """What is kept of a picture. Id, time and file name are the job's own: drawn again, it takes the same place."""
    if job.image_id is None:
        raise VisionCraftError(f"{job.id} was never started")
    request, created_at = job.request, image_time(job.image_id)
    seconds = (datetime.now(UTC) - (job.started_at or created_at)).total_seconds()
    return ImageRecord(
        id=job.image_id,
        filename=image_filename(job.image_id, created_at),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        model=request.model.id,
        seed=image.seed,
        width=image.width,
        height=image.height,
        generation_time=round(seconds, 3),
        vram_used=round(image.vram_used, 3),
        created_at=created_at,
        parameters=request.parameters(),
        facts={"job": job.id, "generator": generator, **image.facts},
    )
