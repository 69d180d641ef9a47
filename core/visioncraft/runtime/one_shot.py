"""Drawing from a command: through the server that has the data folder, else in this process, as the same job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pybase64

from visioncraft.errors import ServiceUnavailable, StorageUnavailable, VisionCraftError
from visioncraft.images.png import read_record
from visioncraft.jobs.requests import plan_request
from visioncraft.runtime.client import Client
from visioncraft.settings import Settings
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.jobs import JobEvent

if TYPE_CHECKING:
    from visioncraft.runtime.runtime import Runtime

Show = Callable[[str, int, int | None], object]
"""Is told the stage, the steps that are done, and how many there are where that is known."""

Watch = Callable[[str], AbstractContextManager[Show]]
"""Shows people how far the model of this id is, until the block ends."""


def unwatched(_model: str) -> AbstractContextManager[Show]:
    """Show it to nobody."""
    return nullcontext(lambda _stage, _step, _steps: None)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture in the gallery: what is known of it, and its file's bytes."""

    record: ImageRecord
    png: bytes


def drawn_here(settings: Settings, asked: Mapping[str, Any], watch: Watch = unwatched) -> list[Drawn]:
    """Draw in this process, with everything that takes.

    Args:
        settings: They choose plugins and gallery.
        asked: The fields of `POST /generate`; pictures are files' bytes.
        watch: Shows how far it is.

    Raises what drawing raises.
    """
    from visioncraft.runtime.runtime import Runtime  # plugins and jobs, which a server in another process has

    runtime = Runtime(settings)  # made before the loop runs, which would hold Ctrl-C back
    return asyncio.run(_drawn_here(runtime, dict(asked), watch))


def drawn_there(server: Client, asked: Mapping[str, Any], watch: Watch = unwatched) -> list[Drawn]:
    """Have a running server draw, which has the model in memory already. Ctrl-C cancels the job.

    Args:
        server: Draws, and keeps the pictures in its gallery.
        asked: As `drawn_here` takes it.
        watch: Shows how far it is.

    Raises the server's refusal, the job's own error, and `ServiceUnavailable` where the server ends meanwhile.
    """
    job = server.ask(
        "POST", "/jobs", json=_as_json({name: value for name, value in asked.items() if value is not None})
    )
    try:
        with watch(job["model"]) as show:
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


async def _drawn_here(runtime: Runtime, asked: dict[str, Any], watch: Watch) -> list[Drawn]:
    async with runtime:
        return await _drawn(runtime, asked, watch)


async def _drawn(runtime: Runtime, asked: dict[str, Any], watch: Watch) -> list[Drawn]:
    model = runtime.registry.model(asked.pop("model", None))
    plan = plan_request(model, known=runtime.registry.available, **asked)
    job = await runtime.jobs.submit(plan.request, complete=partial(plan.complete, runtime.decoders))
    with watch(model.id) as show:
        watcher = asyncio.create_task(_show_all(runtime.jobs.watch(job), show))
        trouble = await runtime.jobs.outcome(job)
        watcher.cancel()
    if trouble is not None:
        raise StorageUnavailable(trouble)
    if job.record is None:
        raise job.error or VisionCraftError(f"{job.id} ended without a picture")
    store = runtime.registry.store
    return [Drawn(record, await asyncio.to_thread(store.open, record.id)) for record in job.records]


async def _show_all(events: AsyncIterator[JobEvent], show: Show) -> None:
    async for event in events:
        show(event.stage, event.step, event.steps)


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
