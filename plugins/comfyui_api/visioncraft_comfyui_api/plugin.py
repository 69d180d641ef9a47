"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl

from visioncraft_comfyui_api.settings import ComfyUISettings

_MOST_BYTES = 33 * 2**20  # an upload with what stands around it


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """ComfyUI's API on its port, unless settings switch it off."""
    own = settings.plugin("comfyui_api", ComfyUISettings)
    if not own.port:
        return []
    from visioncraft_comfyui_api import errors
    from visioncraft_comfyui_api.desk import Desk
    from visioncraft_comfyui_api.routes import router

    routes = router(Desk(settings, service, own))
    return [Dialect(routes, errors.answer, request_size=_MOST_BYTES, port=own.port, scope="generate")]
