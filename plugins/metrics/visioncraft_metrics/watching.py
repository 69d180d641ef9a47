"""What fills the metrics while the server runs: the events of jobs, and a look at memory, gallery and disk."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from visioncraft import JobEvent, JobView, NotFound, Service, VisionCraftError

from visioncraft_metrics.meters import Meters

log = logging.getLogger(__name__)

_GB = 2**30
_LOADING = "loading"
_AGAIN_S = 1.0


class Watcher:
    """Counts what happens to jobs, and looks around.

    Args:
        service: The server.
        meters: Where it is written.
        data: The server's data folder.
        look_s: Seconds between two looks.
    """

    def __init__(self, service: Service, meters: Meters, data: Path, look_s: float) -> None:
        self._service, self._meters, self._data, self._look_s = service, meters, data, look_s
        self._steps: dict[str, int] = {}
        self._loading: dict[str, float] = {}

    async def run(self) -> None:
        """Until it is cancelled. One that fails goes on after a moment: a count that is wrong is better than none."""
        await asyncio.gather(self._again(self._count_events), self._again(self._look_now_and_then))

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("metrics: counting failed, and goes on")
            await asyncio.sleep(_AGAIN_S)

    async def _count_events(self) -> None:
        async for event in self._service.watch_all():
            await self.count(event)

    async def count(self, event: JobEvent) -> None:
        """Write down one change of a job."""
        if event.name == "preview":
            return
        self._time_loading(event)
        done = event.step - self._steps.get(event.job_id, 0)
        if done > 0:
            self._meters.steps.labels(event.model, self._engine(event.model)).inc(done)
            self._steps[event.job_id] = event.step
        if event.final:
            self._steps.pop(event.job_id, None)
            with suppress(NotFound):
                self._count_end(await self._service.job(event.job_id))

    def _time_loading(self, event: JobEvent) -> None:
        """Remember when a job began to wait for its model, and for how long that was."""
        if event.stage == _LOADING:
            self._loading.setdefault(event.job_id, time.monotonic())
        elif (began := self._loading.pop(event.job_id, None)) is not None:
            self._meters.load_s.labels(event.model, self._engine(event.model)).observe(time.monotonic() - began)

    def _count_end(self, job: JobView) -> None:
        meters, labels = self._meters, (job.model, self._engine(job.model))
        meters.jobs.labels(*labels, job.state.value).inc()
        meters.images.labels(*labels).inc(len(job.images))
        if job.owner:
            meters.key_jobs.labels(job.owner, job.state.value).inc()
        if job.started_at is not None:
            meters.queue_s.labels(*labels).observe((job.started_at - job.created_at).total_seconds())
        if job.state.value == "succeeded" and job.started_at is not None and job.ended_at is not None:
            meters.job_s.labels(*labels).observe((job.ended_at - job.started_at).total_seconds())

    def _engine(self, model: str) -> str:
        """The engine of a model that the server has; `unknown` for one that has gone since."""
        return next((each.engine for each in self._service.models() if each.id == model), "unknown")

    async def _look_now_and_then(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """How full memory, gallery and disk are; what cannot be seen keeps the value of before."""
        meters = self._meters
        try:
            meters.gallery.set(await asyncio.to_thread(self._service.store.count))
            meters.disk_free.set((await asyncio.to_thread(shutil.disk_usage, self._data)).free)
        except (OSError, VisionCraftError) as error:
            log.warning("metrics: the gallery or its disk cannot be looked at: %s", error)
        for device in (await self._service.status())["system_info"]["devices"]:
            for kind in ("used", "free", "total"):
                meters.memory.labels(device["device_name"], kind).set(device[f"vram_{kind}"] * _GB)
        meters.last_look.set_to_current_time()
