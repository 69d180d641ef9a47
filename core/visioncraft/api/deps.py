"""What routes are handed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from visioncraft.runtime.runtime import Runtime


async def _runtime(request: Request) -> Runtime:  # a plain function would be called in a thread, each time
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
