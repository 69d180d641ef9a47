"""What `/status` and `visioncraft status` say: asked of every plugin, each under its guard and time limit."""

from __future__ import annotations

import asyncio
import inspect
import logging
import platform
from collections.abc import Awaitable
from typing import Any

from visioncraft.engines.devices import probe_device
from visioncraft.plugins.guard import Aside
from visioncraft.printing import without_folders
from visioncraft.runtime.runtime import Runtime
from visioncraft.types.status import BackendStatus, DeviceInfo
from visioncraft.workers.pool import WorkerPool

log = logging.getLogger(__name__)


async def system_status(runtime: Runtime) -> dict[str, Any]:
    """The contract's status document."""
    own, others = await asyncio.gather(_generators(runtime), _plugins(runtime))
    # Generators that draw on the same devices each tell of them: the one that has most tells of all.
    devices = max((status.all_devices for status in own), key=len, default=()) or (probe_device(),)
    device = devices[0]
    loaded = [model for status in own for model in status.loaded_models]
    available = runtime.registry.available()
    kinds = {model.id: "api" if model.kind == "cloud" else "local" for model in available}
    return {
        **_device_fields(device),
        "model_loaded": bool(loaded),
        "current_model": loaded[0] if loaded else "",
        "current_generator_type": kinds.get(loaded[0], "local") if loaded else "local",
        "available_models": {
            model.id: {"name": model.name, "quality": model.quality, "vram_required": model.vram_required}
            for model in available
            if model.kind == "local"
        },
        "available_generators": {
            model.id: {"name": model.name, "type": "api", "quality": model.quality}
            for model in available
            if model.kind == "cloud"
        },
        "system_info": {
            "python_version": platform.python_version(),
            "cuda_available": device.device == "cuda",
            "cuda_version": device.cuda_version if device.device == "cuda" else None,
            "devices": [_device_fields(each) for each in devices],
            "jobs_queued": runtime.jobs.queued,
            "jobs_running": runtime.jobs.running,
            "queue_paused": runtime.jobs.paused,
            "queue_trouble": without_folders(runtime.jobs.trouble) if runtime.jobs.trouble else None,
            "storage": runtime.registry.store.name,
            "listening": dict(runtime.listening),
            "backends": {status.name: dict(status.facts) for status in [*others, *own] if status.facts},
        },
    }


def _device_fields(device: DeviceInfo) -> dict[str, Any]:
    return {
        "device": device.device,
        "device_name": device.device_name,
        "vram_total": round(device.vram_total, 2),
        "vram_used": round(device.vram_used, 2),
        "vram_free": round(device.vram_free, 2),
    }


async def _generators(runtime: Runtime) -> list[BackendStatus]:
    limit = runtime.settings.plugins.status_timeout_s
    asked = [_one(runtime.pool, name, limit) for name in runtime.registry.generators]
    return [status for status in await asyncio.gather(*asked) if status is not None]


async def _one(pool: WorkerPool, generator: str, limit: float) -> BackendStatus | None:
    try:
        return await asyncio.wait_for(pool.status(generator), limit)
    except Exception as error:  # a plugin's own trouble costs only its own answer
        log.warning("generator '%s' gave no status: %s", generator, error)
        return None


async def _plugins(runtime: Runtime) -> list[BackendStatus]:
    answers = await Aside().ask("plugins", lambda: runtime.plugins.collect_one("visioncraft_status"))
    limit = runtime.settings.plugins.status_timeout_s
    settled = await asyncio.gather(*(_settle(answer, limit) for _, answer in answers))
    return [status for status in settled if status is not None]


async def _settle(answer: BackendStatus | Awaitable[BackendStatus], limit: float) -> BackendStatus | None:
    try:
        return await asyncio.wait_for(answer, limit) if inspect.isawaitable(answer) else answer
    except Exception as error:
        log.warning("a plugin gave no status: %s", error)
        return None
