"""`/extra-single-image` and `/extra-batch-images`: images enlarged without drawing, as jobs like any other."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any, BinaryIO

from fastapi import APIRouter, Request, Response
from visioncraft import FittedImage, InvalidRequest, JobView, ModelInfo, Service, spliced

from visioncraft_a1111_api import documents
from visioncraft_a1111_api.asking import Asked
from visioncraft_a1111_api.bodies import Body, read_body
from visioncraft_a1111_api.drawing import ended, submitted
from visioncraft_a1111_api.editing import image_in
from visioncraft_a1111_api.hires import PLAIN_UPSCALERS, upscaler_named
from visioncraft_a1111_api.models import chosen
from visioncraft_a1111_api.options import Options

_MOST_AT_ONCE = 16
_TO_A_SIZE = 1
_WITHOUT_EFFECT = {
    "gfpgan_visibility": "faces are not restored (GFPGAN)",
    "codeformer_visibility": "faces are not restored (CodeFormer)",
    "extras_upscaler_2_visibility": "one upscaler enlarges an image, no second one is mixed in",
}


def add_routes(routes: APIRouter, service: Service, options: Options) -> None:
    """Adds both routes."""

    @routes.post("/extra-single-image", response_class=Response, openapi_extra=documents.body(documents.EXTRAS))
    async def single(request: Request) -> Response:
        """Enlarge an image."""
        body = await read_body(request)
        job = await _enlarged(service, options, request, body, body.values.get("image"))
        image = BytesIO(await service.image(job.id))
        return spliced([_head([job]), b',"image":"', image, b'"}'], {"X-Job-Id": job.id})

    @routes.post("/extra-batch-images", response_class=Response, openapi_extra=documents.body(documents.EXTRAS))
    async def batch(request: Request) -> Response:
        """Enlarge several images."""
        body = await read_body(request)
        sent = [each.get("data") if isinstance(each, dict) else each for each in body.items("imageList")]
        if not 1 <= len(sent) <= _MOST_AT_ONCE:
            raise InvalidRequest.of("imageList", f"1 to {_MOST_AT_ONCE} images")
        jobs = [await _enlarged(service, options, request, body, image, place) for place, image in enumerate(sent)]
        parts: list[bytes | BinaryIO] = [_head(jobs), b',"images":[']
        for number, job in enumerate(jobs):
            parts += [b',"' if number else b'"', BytesIO(await service.image(job.id)), b'"']
        return spliced([*parts, b"]}"], {})


async def _enlarged(
    service: Service, options: Options, request: Request, body: Body, image: object, place: int = 0
) -> JobView:
    asked = Asked(await _enlarger(service, options), "")
    asked.told += [told for name, told in _WITHOUT_EFFECT.items() if (body.number(name) or 0) > 0]
    asked.fields = await _fields(service, body, image_in(image, "image"), asked.told)
    return await ended(service, await submitted(service, request, asked, place), request)


async def _enlarger(service: Service, options: Options) -> ModelInfo:
    """A model whose engine enlarges: the selected one, or any. Nothing of it is loaded."""
    models = [await chosen(service, options), *service.models()]
    able = [model for model in models if {"init_image", "upscaler"} <= model.abilities]
    if not able:
        raise InvalidRequest.of("upscaler_1", "no model here comes with an engine that enlarges")
    return able[0]


async def _fields(service: Service, body: Body, image: str, told: list[str]) -> dict[str, Any]:
    """The fields of the job."""
    name = body.text("upscaler_1", "None")
    common = {"strength": 0, "upscaler": upscaler_named(name, told)}
    if name.strip().lower() in ("", PLAIN_UPSCALERS[0]):
        return {**common, "init_image": image, "upscale": 1}
    if body.whole("resize_mode") == _TO_A_SIZE:
        return {**common, **await _to_a_size(service, body, image, told)}
    factor = body.number("upscaling_resize")
    return {**common, "init_image": image, **_by(2.0 if factor is None else factor, told)}


def _by(factor: float, told: list[str]) -> dict[str, Any]:
    """The factor, within what an image is enlarged by in one go."""
    if not 1 <= factor <= 8:
        told.append(f"an image is enlarged by 1 to 8, not by {factor:g}")
    return {"upscale": min(max(factor, 1.0), 8.0)}


async def _to_a_size(service: Service, body: Body, image: str, told: list[str]) -> dict[str, Any]:
    """Enlarged until it covers a size, and cropped to that size's proportions where that is asked for."""
    wanted = body.whole("upscaling_resize_w") or 512, body.whole("upscaling_resize_h") or 512
    if min(wanted) < 1:
        raise InvalidRequest.of("upscaling_resize_w", "pixels, 1 at least")
    facts = await service.inspect(image)
    factor = max(wanted[0] / facts.width, wanted[1] / facts.height)
    found = _by(factor, told)
    if not body.flag("upscaling_crop", default=True) or found["upscale"] != factor:
        return {"init_image": image, **found}
    width, height = (max(1, round(side / factor)) for side in wanted)
    return {"init_image": FittedImage(image, "crop"), "width": width, "height": height, "upscale": wanted[0] / width}


def _head(jobs: Sequence[JobView]) -> bytes:
    """`html_info`, which says what was not done as asked."""
    told = dict.fromkeys(sentence for job in jobs for sentence in job.warnings)
    text = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in told) or "<p></p>"
    return b'{"html_info":' + json.dumps(text).encode()
