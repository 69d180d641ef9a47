"""`GET /metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from visioncraft import Service, Settings

from visioncraft_metrics.meters import Meters, make_meters
from visioncraft_metrics.watching import Watcher


def metrics_router(settings: Settings, service: Service, look_s: float) -> APIRouter:
    """The route, and the counting that begins and ends with the server.

    Args:
        settings: The server's: where its data are.
        service: The server.
        look_s: Seconds between two looks at memory, gallery and disk.
    """
    meters = make_meters()

    @asynccontextmanager
    async def counting(_: object) -> AsyncIterator[None]:
        task = asyncio.create_task(Watcher(service, meters, settings.data_path, look_s).run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    router = APIRouter(lifespan=counting)

    @router.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """What the server did and how it stands, in the form that Prometheus reads (or OpenMetrics, if it is asked)."""
        _count_jobs(service, meters)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await asyncio.to_thread(encode, meters.registry), headers={"Content-Type": media_type})

    return router


def _count_jobs(service: Service, meters: Meters) -> None:
    """How many wait and run at this moment, of everybody's."""
    states = [job.state.value for job in service.jobs()]
    meters.waiting.set(states.count("queued"))
    meters.running.set(states.count("running"))
