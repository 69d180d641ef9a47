"""Drawing outside a server, through the same job as every other picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext

from visioncraft.errors import StorageUnavailable, VisionCraftError
from visioncraft.jobs.events import Event
from visioncraft.requests import build_request, request_fields
from visioncraft.runtime import Runtime
from visioncraft.settings import Settings
from visioncraft.types import GenerationRequest, ImageRecord


def replay(settings: Settings, record: ImageRecord, bar: bool = False) -> tuple[ImageRecord, bytes]:
    """Draw the picture that a record tells of and keep it in the gallery that the settings select.

    Parameters
    ----------
    bar: Show on stderr how far it is.

    Answers the new picture's record and its file's bytes. Raises what drawing raises: `ModelNotAvailable` where the
    record's model is not here, `InvalidRequest` where the record asks for what the model does not do.
    """
    return asyncio.run(_replay(settings, record, bar))


async def drawn(runtime: Runtime, request: GenerationRequest, bar: bool = False) -> tuple[ImageRecord, bytes]:
    """Draw what is asked for; answers the picture's record and its file's bytes. Raises what drawing raises.

    Parameters
    ----------
    bar: Show on stderr how far it is.
    """
    job = await runtime.jobs.submit(request, wants_png=True)
    with _watched(request) if bar else nullcontext(_nothing) as show:
        watcher = asyncio.create_task(_show(runtime.jobs.watch(job), show))
        trouble = await runtime.jobs.outcome(job)
        watcher.cancel()
    if trouble is not None:
        raise StorageUnavailable(trouble)
    if job.record is None:
        raise job.error or VisionCraftError(f"{job.id} ended without a picture")
    return job.record, await runtime.jobs.picture(job)


async def _replay(settings: Settings, record: ImageRecord, bar: bool) -> tuple[ImageRecord, bytes]:
    asked = request_fields(record)
    async with Runtime(settings) as runtime:
        model = runtime.registry.model(asked.pop("model"))
        return await drawn(runtime, build_request(model, known=runtime.registry.available, **asked), bar)


@contextmanager
def _watched(request: GenerationRequest) -> Iterator[Callable[[Event], None]]:
    """A progress bar, and what moves it."""
    from rich.progress import MofNCompleteColumn, TimeElapsedColumn

    from visioncraft.bars import progress_bar

    with progress_bar(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)  # without a total the bar pulses: nobody knows how long a load is

        def show(event: Event) -> None:
            total = request.steps_drawn if event.step else None
            bar.update(task, description=f"{request.model.id}: {event.stage}", completed=event.step, total=total)

        yield show


async def _show(events: AsyncIterator[Event], show: Callable[[Event], None]) -> None:
    async for event in events:
        show(event)


def _nothing(_event: Event) -> None:
    """Shows it to nobody."""
