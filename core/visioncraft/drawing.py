"""Drawing from a command: through the server that has the data folder, else in this process, as the same job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pybase64

from visioncraft.client import Client
from visioncraft.errors import ServiceUnavailable, StorageUnavailable, VisionCraftError
from visioncraft.images import read_record
from visioncraft.requests import plan_request, request_fields
from visioncraft.settings import Settings
from visioncraft.types import ImageRecord

if TYPE_CHECKING:
    from visioncraft.jobs.events import Event
    from visioncraft.runtime import Runtime

Show = Callable[[str, int, int | None], object]
"""Is told the stage, the steps that are done, and how many there are where that is known."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture in the gallery: what is known of it, and its file's bytes."""

    record: ImageRecord
    png: bytes


def replay(settings: Settings, record: ImageRecord, bar: bool = False) -> tuple[ImageRecord, bytes]:
    """Draw the picture that a record tells of and keep it in the gallery that the settings select.

    Args:
        settings: A server that has their data folder draws it; without one this process does.
        record: What was drawn.
        bar: Show on stderr how far it is.

    Answers the new picture's record and its file's bytes. Raises what drawing raises: `ModelNotAvailable` where the
    record's model is not here, `InvalidRequest` where the record asks for what the model does not do.
    """
    asked = request_fields(record)
    server = Client.of_running(settings)
    drawn = drawn_there(server, asked, bar) if server else drawn_here(settings, asked, bar)
    return drawn[0].record, drawn[0].png


def drawn_here(settings: Settings, asked: Mapping[str, Any], bar: bool = False) -> list[Drawn]:
    """Draw in this process, with everything that takes.

    Args:
        settings: They choose plugins and gallery.
        asked: The fields of `POST /generate`; pictures are files' bytes.
        bar: Show on stderr how far it is.

    Raises what drawing raises.
    """
    from visioncraft.runtime import Runtime  # plugins and jobs, which a server in another process has

    runtime = Runtime(settings)  # made before the loop runs, which would hold Ctrl-C back
    return asyncio.run(_drawn_here(runtime, dict(asked), bar))


def drawn_there(server: Client, asked: Mapping[str, Any], bar: bool = False) -> list[Drawn]:
    """Have a running server draw, which has the model in memory already. Ctrl-C cancels the job.

    Args:
        server: Draws, and keeps the pictures in its gallery.
        asked: As `drawn_here` takes it.
        bar: Show on stderr how far it is.

    Raises the server's refusal, the job's own error, and `ServiceUnavailable` where the server ends meanwhile.
    """
    job = server.ask(
        "POST", "/jobs", json=_as_json({name: value for name, value in asked.items() if value is not None})
    )
    try:
        with _watched(job["model"]) if bar else nullcontext(_nothing) as show:
            for event in server.events_of(job["id"]):
                show(event["stage"], event["step"], event["steps"])
        ended = server.ask("GET", f"/jobs/{job['id']}")
        files = [server.fetch(f"/images/{image['id']}") for image in ended["images"]]
    except KeyboardInterrupt:
        server.ask("DELETE", f"/jobs/{job['id']}")
        raise
    except ServiceUnavailable as error:
        again = f"visioncraft jobs watch {job['id']}"
        raise ServiceUnavailable(f"{error.message}; the job goes on when the server is back: {again}") from error
    if ended["status"] != "succeeded":
        said = ended["error"] or {"message": f"{job['id']} is {ended['status']}"}
        raise VisionCraftError(said["message"], **said.get("details", {}))
    return [Drawn(_record_of(png), png) for png in files]


async def _drawn_here(runtime: Runtime, asked: dict[str, Any], bar: bool) -> list[Drawn]:
    async with runtime:
        return await _drawn(runtime, asked, bar)


async def _drawn(runtime: Runtime, asked: dict[str, Any], bar: bool) -> list[Drawn]:
    model = runtime.registry.model(asked.pop("model", None))
    plan = plan_request(model, known=runtime.registry.available, **asked)
    job = await runtime.jobs.submit(plan.request, complete=partial(plan.complete, runtime.decoders))
    with _watched(model.id) if bar else nullcontext(_nothing) as show:
        watcher = asyncio.create_task(_show_all(runtime.jobs.watch(job), show))
        trouble = await runtime.jobs.outcome(job)
        watcher.cancel()
    if trouble is not None:
        raise StorageUnavailable(trouble)
    if job.record is None:
        raise job.error or VisionCraftError(f"{job.id} ended without a picture")
    store = runtime.registry.store
    return [Drawn(record, await asyncio.to_thread(store.open, record.id)) for record in job.records]


async def _show_all(events: AsyncIterator[Event], show: Show) -> None:
    async for event in events:
        show(event.stage, event.step, event.job.steps)


def _as_json(value: Any) -> Any:
    """The fields as a client sends them: pictures in base64."""
    if isinstance(value, bytes):
        return pybase64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _as_json(entry) for name, entry in value.items()}
    return [_as_json(entry) for entry in value] if isinstance(value, list | tuple) else value


def _record_of(png: bytes) -> ImageRecord:
    record = read_record(png)
    if record is None:
        raise VisionCraftError("the server's picture does not say how it was made; is it a VisionCraft server?")
    return record


@contextmanager
def _watched(model: str) -> Iterator[Show]:
    """A progress bar, and what moves it."""
    from rich.progress import MofNCompleteColumn, TimeElapsedColumn

    from visioncraft.bars import progress_bar

    with progress_bar(MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)  # without a total the bar pulses: nobody knows how long a load is

        def show(stage: str, step: int, steps: int | None) -> None:
            bar.update(task, description=f"{model}: {stage}", completed=step, total=steps if step else None)

        yield show


def _nothing(_stage: str, _step: int, _steps: int | None) -> None:
    """Shows it to nobody."""
