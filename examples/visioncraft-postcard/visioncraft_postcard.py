"""Another protocol in front of the same queue: `GET /postcard?text=…` answers the image, errors as lines of text."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from visioncraft import Dialect, Service, VisionCraftError, hookimpl


def errors(_request: Request, error: VisionCraftError) -> Response:
    """An error as this protocol has it, in place of the API's JSON."""
    status = 401 if error.code == "AUTHENTICATION_ERROR" else 400
    return Response(f"no postcard: {error.message}\n", status, media_type="text/plain")


def router(service: Service) -> APIRouter:
    """The one route."""
    routes = APIRouter()

    @routes.get("/postcard", response_class=Response)
    async def postcard(request: Request, text: str, model: str | None = None) -> Response:
        """Draw the text, and wait for it; hanging up cancels the job."""
        caller = service.caller_of(request)
        job = await service.submit(model, text, caller=caller, dialect="postcard", width=256, height=128)
        image = (await service.wait(job.id, request)).images[0]
        headers = {"X-Job-Id": job.id, "X-Image-Url": service.image_url(request, image.id)}
        return Response(await service.image(job.id), media_type="image/png", headers=headers)

    return routes


@hookimpl
def visioncraft_routers(service: Service) -> Sequence[Dialect]:
    """The protocol, with its own errors."""
    return [Dialect(router(service), errors=errors, request_size=1024, scope="generate")]
