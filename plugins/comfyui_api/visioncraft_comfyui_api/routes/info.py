"""What the server is and knows: `/system_stats`, `/object_info`, `/models` and what else clients look at first."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from visioncraft import NotFound, __version__

from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.graph.describing import described
from visioncraft_comfyui_api.graph.known import KNOWN
from visioncraft_comfyui_api.graph.lists import FOLDERS, Lists
from visioncraft_comfyui_api.uploads import MOST_BYTES

COMFYUI_VERSION = "0.38.1"
"""The version whose API this is; some clients look at it."""

FEATURES = {"supports_preview_metadata": True, "max_upload_size": MOST_BYTES}
_GB = 10**9


def routes(desk: Desk) -> APIRouter:
    """These routes."""
    found = APIRouter()
    _of_nodes(found, desk)
    _of_models(found, desk)
    _of_folders(found, desk)
    _of_system(found, desk)
    _of_logs(found)
    _of_users(found)
    return found


def _of_nodes(found: APIRouter, desk: Desk) -> None:
    @found.get("/object_info")
    async def object_info(request: Request) -> dict[str, Any]:
        """All classes of nodes that are known."""
        lists = await desk.lists(desk.owner_of(request))
        return {name: described(name, node, lists) for name, node in KNOWN.items()}

    @found.get("/object_info/{name}")
    async def one_object_info(name: str, request: Request) -> dict[str, Any]:
        """One class of nodes; nothing for one that is not known."""
        lists = await desk.lists(desk.owner_of(request))
        return {name: described(name, KNOWN[name], lists)} if name in KNOWN else {}


def _of_models(found: APIRouter, desk: Desk) -> None:
    @found.get("/models")
    async def folders() -> list[str]:
        """The folders of models."""
        return list(FOLDERS)

    @found.get("/models/{folder}")
    async def models(folder: str) -> list[str]:
        """The models of one folder."""
        return _files(await desk.lists(""), folder)

    @found.get("/embeddings")
    async def embeddings() -> list[str]:
        """Embeddings that a prompt may name."""
        return (await desk.lists("")).stored("embeddings")


def _of_folders(found: APIRouter, desk: Desk) -> None:
    @found.get("/experiment/models")
    async def folders_told() -> list[dict[str, Any]]:
        """The folders of models, without paths of this machine."""
        return [{"name": folder, "folders": []} for folder in FOLDERS]

    @found.get("/experiment/models/{folder}")
    async def models_told(folder: str) -> list[dict[str, Any]]:
        """The models of one folder."""
        return [{"name": name, "pathIndex": 0} for name in _files(await desk.lists(""), folder)]


def _files(lists: Lists, folder: str) -> list[str]:
    if folder not in FOLDERS:
        raise NotFound(f"There is no folder {folder[:64]}")
    listed = FOLDERS[folder]
    return lists.values(listed) if listed is not None else lists.stored(folder)


def _of_system(found: APIRouter, desk: Desk) -> None:
    @found.get("/system_stats")
    async def system_stats() -> dict[str, Any]:
        """The machine."""
        status = await desk.service.status()
        return {"system": _system(), "devices": [_device(each) for each in status["system_info"]["devices"]]}

    @found.get("/features")
    async def features() -> dict[str, Any]:
        """What this server can beside the basics."""
        return FEATURES

    @found.get("/extensions")
    async def extensions() -> list[str]:
        """There are none: plugins of this server are none of ComfyUI's page."""
        return []

    @found.get("/workflow_templates")
    async def templates() -> dict[str, Any]:
        """There are none here."""
        return {}


def _of_logs(found: APIRouter) -> None:
    @found.get("/internal/logs")
    async def logs() -> str:
        """The server's log is not for clients."""
        return ""

    @found.get("/internal/logs/raw")
    async def raw_logs() -> dict[str, Any]:
        """The server's log is not for clients."""
        return {"entries": [], "size": {"cols": 80, "rows": 24}}

    @found.patch("/internal/logs/subscribe")
    async def subscribe() -> Response:
        """Whoever wants to hear of the log hears nothing."""
        return Response()


def _of_users(found: APIRouter) -> None:
    @found.get("/users")
    async def users() -> dict[str, Any]:
        """One user, as ComfyUI without `--multi-user` has it."""
        return {"storage": "server", "migrated": True}

    @found.get("/settings")
    async def settings() -> dict[str, Any]:
        """Settings of ComfyUI's own page, which is not here."""
        return {}

    @found.post("/settings")
    @found.post("/settings/{name}")
    async def keep_setting(request: Request) -> Response:
        """They are not kept."""
        return Response()

    @found.get("/userdata")
    @found.get("/v2/userdata")
    async def userdata() -> list[str]:
        """Files of ComfyUI's own page: there are none."""
        return []

    @found.get("/settings/{name}")
    @found.get("/userdata/{name:path}")
    async def one(name: str) -> Response:
        """One of them."""
        raise NotFound(f"There is no {name[:64]}")


def _system() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        "os": os.name,
        "ram_total": memory.total,
        "ram_free": memory.available,
        "comfyui_version": COMFYUI_VERSION,
        "required_frontend_version": "",
        "python_version": f"{platform.python_version()} ({sys.implementation.name})",
        "pytorch_version": f"VisionCraft Pro {__version__}",
        "embedded_python": False,
        "argv": ["visioncraft", "serve"],
    }


def _device(told: Mapping[str, Any]) -> dict[str, Any]:
    total, free = int(told["vram_total"] * _GB), int(told["vram_free"] * _GB)
    kind = str(told["device"])
    return {
        "name": f"{kind}:0 {told['device_name']}" if kind != "cpu" else "cpu",
        "type": kind,
        "index": 0 if kind != "cpu" else None,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": total,
        "torch_vram_free": free,
    }
