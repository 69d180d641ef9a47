"""What clients fill their menus with: models, samplers, upscalers, LoRAs, and lists that are empty here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from visioncraft import Service

from visioncraft_a1111_api import models, samplers
from visioncraft_a1111_api.hires import LATENT_MODES

_EMPTY = (
    "hypernetworks",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "sd-vae",
    "script-info",
    "extensions",
)


def add_routes(routes: APIRouter, service: Service) -> None:
    """Adds the routes."""
    for name in _EMPTY:
        routes.add_api_route(f"/{name}", _nothing, methods=["GET"], name=name)
    _add_models(routes, service)
    _add_parts(routes, service)

    @routes.get("/samplers")
    async def all_samplers() -> list[dict[str, Any]]:
        """The samplers that any model takes."""
        return samplers.documents(service.models())

    @routes.get("/schedulers")
    async def schedulers() -> list[dict[str, Any]]:
        """The noise schedules."""
        return samplers.scheduler_documents()

    @routes.get("/latent-upscale-modes")
    async def latent_upscale_modes() -> list[dict[str, str]]:
        """How a second pass may enlarge latents."""
        return [{"name": LATENT_MODES[0]}]

    @routes.get("/cmd-flags")
    async def cmd_flags() -> dict[str, Any]:
        """None of AUTOMATIC1111's switches."""
        return {}

    @routes.get("/scripts")
    async def scripts() -> dict[str, list[str]]:
        """The scripts; ControlNet is the one there is."""
        return {"txt2img": ["controlnet"], "img2img": ["controlnet"]}

    @routes.get("/memory")
    async def memory() -> dict[str, Any]:
        """Memory in bytes, of a graphics card where there is one."""
        return _memory(await service.status())


async def _nothing() -> list[Any]:
    """An empty list: nothing of the kind is here."""
    return []


def _add_models(routes: APIRouter, service: Service) -> None:
    @routes.get("/sd-models")
    async def sd_models() -> list[dict[str, Any]]:
        """The models that can draw now."""
        return models.documents(await service.look_for_models())

    @routes.post("/refresh-checkpoints")
    async def refresh_checkpoints() -> None:
        """Look for models anew."""
        await service.look_for_models()

    for name in ("refresh-loras", "refresh-vae", "refresh-embeddings"):  # looked for whenever they are listed
        routes.add_api_route(f"/{name}", _done, methods=["POST"], name=name)


async def _done() -> None:
    """Nothing to do."""


def _add_parts(routes: APIRouter, service: Service) -> None:
    @routes.get("/upscalers")
    async def upscalers() -> list[dict[str, Any]]:
        """What enlarges an image; None, which does not, comes first."""
        names = ["None", "Lanczos", *(name for name, _ in models.named(await service.parts(), "upscaler"))]
        empty = {"model_name": None, "model_path": None, "model_url": None, "scale": 4}
        return [{"name": name, **empty} for name in names]

    @routes.get("/loras")
    async def loras() -> list[dict[str, Any]]:
        """The LoRAs, as `<lora:NAME:WEIGHT>` names them."""
        found = models.named(await service.parts(), "lora")
        return [{"name": name, "alias": part.id, "path": name, "metadata": {}} for name, part in found]

    @routes.get("/embeddings")
    async def embeddings() -> dict[str, Any]:
        """Textual inversions, which are words of a prompt."""
        found = models.named(await service.parts(), "embedding")
        empty = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 1}
        return {"loaded": {name: empty for name, _ in found}, "skipped": {}}


def _memory(status: Any) -> dict[str, Any]:
    import psutil

    ram = psutil.virtual_memory()
    found: dict[str, Any] = {"ram": {"free": ram.available, "used": ram.used, "total": ram.total}}
    if not status.get("vram_total"):
        return {**found, "cuda": {"error": "unavailable"}}
    total, used, free = (int(float(status[f"vram_{name}"]) * 2**30) for name in ("total", "used", "free"))
    return {**found, "cuda": {"system": {"free": free, "used": used, "total": total}}}
