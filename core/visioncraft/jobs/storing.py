"""From a drawn picture to a kept one: its record, its bytes, its place in the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from visioncraft.errors import NotFound
from visioncraft.jobs.job import Job
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.generation import FACT_DIALECT, FACT_OWNER, WARNINGS, GeneratedImage
from visioncraft.types.ids import image_filename, image_time


class ImageWriter:
    """Puts pictures into the store, each once."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def check_room(self) -> None:
        """Raise `StorageError` where no further picture would fit, before anything is drawn."""
        await asyncio.to_thread(self._store.check_room)

    async def keep(self, record: ImageRecord, png: bytes, again: bool) -> ImageRecord:
        """Store a picture. Raises `StorageError`.

        Args:
            record: What `record_of` says of it.
            png: Its file.
            again: An earlier try failed, perhaps after the picture was stored.
        """
        if again and (found := await self.find_stored(record.id)) is not None:
            return found
        return await asyncio.to_thread(self._store.save, record, png)

    async def find_all_stored(self, job: Job) -> list[ImageRecord]:
        """The job's pictures where an earlier server stored the last of them just before it ended; else none."""
        if job.image_id is None:
            return []
        parts = [await self.find_stored(job.image_request(number)[1]) for number in range(job.request.num_images)]
        records = [record for record in parts if record is not None]
        return records if len(records) == len(parts) else []

    async def find_stored(self, image_id: str) -> ImageRecord | None:
        """The record of a picture that an earlier server may have stored just before it ended."""
        try:
            return await asyncio.to_thread(self._store.get, image_id)
        except NotFound:
            return None


def record_of(job: Job, number: int, generator: str, image: GeneratedImage, began: datetime) -> ImageRecord:
    """What is kept of a picture. Id, time and file name are the job's own: drawn again, it takes the same place."""
    request, image_id = job.image_request(number)
    created_at = image_time(image_id)
    seconds = (datetime.now(UTC) - began).total_seconds()
    told: dict[str, object] = {WARNINGS: list(image.warnings)} if image.warnings else {}
    if request.dialect:
        told[FACT_DIALECT] = request.dialect
    if request.owner:
        told[FACT_OWNER] = request.owner
    return ImageRecord(
        id=image_id,
        filename=image_filename(image_id, created_at),
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
        facts={"job": job.id, "generator": generator, **image.facts, **told},
    )
