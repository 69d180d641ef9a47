"""Drawing a picture again outside a server, through the same job as every other picture."""

from __future__ import annotations

import asyncio

from visioncraft.errors import VisionCraftError
from visioncraft.requests import build_request, request_fields
from visioncraft.runtime import Runtime
from visioncraft.settings import Settings
from visioncraft.types import ImageRecord


def replay(settings: Settings, record: ImageRecord) -> tuple[ImageRecord, bytes]:
    """Draw the picture that a record tells of and keep it in the gallery that the settings select.

    Answers the new picture's record and its file's bytes. Raises what drawing raises: `ModelNotAvailable` where the
    record's model is not here, `InvalidRequest` where the record asks for what the model does not do.
    """
    return asyncio.run(_replay(settings, record))


async def _replay(settings: Settings, record: ImageRecord) -> tuple[ImageRecord, bytes]:
    asked = request_fields(record)
    async with Runtime(settings) as runtime:
        model = runtime.registry.model(asked.pop("model"))
        job = await runtime.jobs.submit(build_request(model, known=runtime.registry.available, **asked), wants_png=True)
        await job.wait()
        if job.record is None:
            raise job.error or VisionCraftError(f"{job.id} ended without a picture")
        return job.record, await runtime.jobs.picture(job)
