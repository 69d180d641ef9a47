"""`/`, `/health`, `/status`, `/models`, `/plugins`, `/api-key`: the server itself."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from visioncraft._version import API_VERSION
from visioncraft.api.deps import RuntimeDep
from visioncraft.api.drawn import quality
from visioncraft.api.links import link
from visioncraft.api.needs import needs
from visioncraft.api.openapi import responses
from visioncraft.api.schemas.fields import told
from visioncraft.api.schemas.system import (
    ApiKeyAnswer,
    ApiKeyBody,
    HealthAnswer,
    LocalModel,
    ModelsAnswer,
    PluginAnswer,
    RootAnswer,
    StatusAnswer,
)
from visioncraft.errors import ServiceUnavailable
from visioncraft.printing import without_folders
from visioncraft.runtime.keeping import keep_key
from visioncraft.runtime.status import system_status
from visioncraft.types.models import ModelInfo

router = APIRouter(tags=["system"])


@router.get("/", response_model=RootAnswer, responses=responses())
async def root(request: Request, response: Response) -> RootAnswer | RedirectResponse:
    """Basic API information. A browser is sent to the page of this server, where a plugin brings one."""
    home = request.app.state.dialects.home
    if home is None:
        return RootAnswer(message="VisionCraft Pro API", status="running", version=API_VERSION)
    if _wants_a_page(request.headers.get("accept", "")):
        return RedirectResponse(link(home), headers={"Vary": "Accept"})
    response.headers["Vary"] = "Accept"
    return RootAnswer(message="VisionCraft Pro API", status="running", version=API_VERSION)


@router.get("/health", responses=responses())
async def health() -> HealthAnswer:
    """Whether the server answers."""
    return HealthAnswer(status="ok")


@router.get("/health/live", responses=responses())
async def live() -> HealthAnswer:
    """Whether the process answers: for what restarts it where it does not."""
    return HealthAnswer(status="ok")


@router.get("/health/ready", responses=responses(503))
async def ready(runtime: RuntimeDep) -> HealthAnswer:
    """Whether work can be sent here now: 503 while nothing can draw, nothing can be kept, or the queue is full."""
    jobs = runtime.jobs
    if not runtime.registry.available():
        raise ServiceUnavailable("no model can draw yet, see GET /models")
    if jobs.trouble is not None:
        raise ServiceUnavailable(f"the queue stands still: {without_folders(jobs.trouble)}")
    if jobs.full:
        raise ServiceUnavailable(f"{jobs.queued} jobs wait, which is as many as the queue holds")
    return HealthAnswer(status="ok")


@router.get("/status", responses=responses(), dependencies=[needs("models:read")])
async def status(runtime: RuntimeDep) -> StatusAnswer:
    """System status: the device and its memory, what is loaded, what can draw."""
    return StatusAnswer.model_validate(await system_status(runtime))


@router.get("/models", responses=responses(), dependencies=[needs("models:read")])
async def models(runtime: RuntimeDep) -> ModelsAnswer:
    """The models that can draw now, and their specifications."""
    available = await runtime.service.look_for_models()
    return ModelsAnswer(
        local_models={model.id: _local(model) for model in available if model.kind == "local"},
        cloud_models={model.id: dict(model.catalogue or {}) for model in available if model.kind == "cloud"},
    )


@router.get("/plugins", responses=responses(), dependencies=[needs("models:read")])
async def plugins(runtime: RuntimeDep) -> list[PluginAnswer]:
    """Every plugin found, the broken ones with their reason."""
    return [
        PluginAnswer(
            name=info.name,
            distribution=info.distribution,
            version=info.version,
            status=info.status,
            hooks=info.hooks,
            error=without_folders(info.error) if info.error else None,
        )
        for info in runtime.plugins.plugins.values()
    ]


@router.post("/api-key", response_model_exclude_unset=True, responses=responses(), dependencies=[needs("admin")])
async def api_key(body: ApiKeyBody, runtime: RuntimeDep) -> ApiKeyAnswer:
    """Set or update the API key of a cloud service. It is kept in a file of mode 0600 and never shown again.

    A key that the service refuses is not kept; where the service cannot be asked, the key is.
    """
    shown, _ = await keep_key(runtime.plugins, runtime.keys, body.service, body.api_key)
    return ApiKeyAnswer(message="API key updated successfully", service=body.service, key_preview=shown, **told(body))


def _wants_a_page(accept: str) -> bool:
    """Whether a client names HTML and likes it better than JSON, as browsers do."""
    return "text/html" in accept.lower() and quality("text/html", accept) > quality("application/json", accept)


def _local(model: ModelInfo) -> LocalModel:
    return LocalModel(
        name=model.name,
        quality=model.quality,
        vram_required=model.vram_required,
        max_resolution=model.limits.max_resolution,
        description=model.description,
        steps=model.limits.steps,
        guidance_scale=model.limits.guidance_scale,
        size_multiple=model.limits.size_multiple,
        abilities=sorted(model.abilities),
        defaults=model.defaults.fields(),
        samplers=list(model.samplers),
        parameters={each.name: each.schema() for each in model.parameters},
        engines=list(model.engines),
        licence=model.licence,
    )
