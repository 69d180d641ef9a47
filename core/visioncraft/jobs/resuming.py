"""Taking up a job that an earlier server left."""

from __future__ import annotations

import logging
from dataclasses import replace

from visioncraft.errors import StorageError, VisionCraftError
from visioncraft.jobs.dispatcher import Dispatcher
from visioncraft.jobs.job import Job
from visioncraft.jobs.storing import ImageWriter
from visioncraft.plugins.registry import Registry
from visioncraft.types.gallery import ImageRecord

log = logging.getLogger(__name__)


async def resume(job: Job, registry: Registry, writer: ImageWriter, desk: Dispatcher) -> None:
    """Queue a job again, unless its pictures are all stored, or the model that should draw it is gone: then it ends."""
    job.requeue()
    if records := await _kept(job, writer):
        job.start()
        job.records = records
        await desk.finish(job, records[0])
        return
    try:
        model = registry.model(job.request.model.id)
        job.request = replace(job.request, model=model)
        desk.enqueue(desk.lane_of(model), job)
    except VisionCraftError as error:
        await desk.finish(job, error)


async def _kept(job: Job, writer: ImageWriter) -> list[ImageRecord]:
    try:
        return await writer.find_all_stored(job)
    except StorageError as error:  # it is looked for once more when its turn comes
        log.warning("%s: whether its pictures are stored is not known yet: %s", job.id, error.message)
        return []
