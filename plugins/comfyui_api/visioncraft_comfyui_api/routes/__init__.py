"""ComfyUI's routes, each of them also under `/api`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.routes import files, info, jobs, queue, socket


def router(desk: Desk) -> APIRouter:
    """All routes.

    Args:
        desk: What they work with; open while the server runs.
    """

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        await desk.open()
        try:
            yield
        finally:
            await desk.close()

    found = APIRouter(lifespan=lifespan)
    for prefix in ("", "/api"):
        for each in (queue, files, info, socket):
            found.include_router(each.routes(desk), prefix=prefix)
    found.include_router(jobs.routes(desk), prefix="/api")
    return found
