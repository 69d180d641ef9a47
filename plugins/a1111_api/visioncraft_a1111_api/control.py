"""ControlNet as the extension of AUTOMATIC1111 has it: units of an always-on script, and `/controlnet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from visioncraft import Fit, FittedImage, InvalidRequest, Service

from visioncraft_a1111_api.bodies import Body, read_body
from visioncraft_a1111_api.editing import image_in
from visioncraft_a1111_api.models import bare_name, named

_SCRIPT = "controlnet"
_MODULES = ["none"]
_VERSION = 3
_FITS: dict[str, Fit] = {"0": "stretch", "just resize": "stretch", "2": "pad", "resize and fill": "pad"}
_BALANCED = ("", "0", "balanced")


def fields(body: Body, start: str, told: list[str]) -> dict[str, Any]:
    """Reads the always-on scripts, of which ControlNet is here.

    Args:
        body: The request.
        start: The image that is drawn over, which a unit without one follows; empty where there is none.
        told: Hears of what is not done as asked.

    Returns:
        The field `controlnet`, where there is a unit.
    """
    units = list(_units(body, told))
    if len(units) > 1:
        told.append(f"one ControlNet is followed at a time: the first of {len(units)}")
    return {"controlnet": _control(units[0], start, told)} if units else {}


def _units(body: Body, told: list[str]) -> Iterator[Body]:
    """The units that are switched on."""
    scripts = body.part("alwayson_scripts").values
    for name, script in scripts.items():
        arguments = Body(script).items("args") if isinstance(script, dict) else []
        if name.strip().lower() == _SCRIPT:
            yield from _switched_on(arguments)
        elif any(arguments):
            told.append(f"the script '{name[:60]}' is not here")
    yield from _switched_on(body.items("controlnet_units"))


def _switched_on(sent: Sequence[Any]) -> Iterator[Body]:
    return filter(_is_on, (Body(each) for each in sent if isinstance(each, dict)))


def _is_on(unit: Body) -> bool:
    return unit.flag("enabled", default=True) and unit.text("model", "None").strip().lower() not in ("", "none")


def _control(unit: Body, start: str, told: list[str]) -> dict[str, Any]:
    sent = unit.values.get("image") or unit.values.get("input_image") or start
    if not sent:
        raise InvalidRequest.of("controlnet.image", "the condition that the ControlNet follows")
    image = image_in(sent, "controlnet.image")
    weight = unit.number("weight")
    _tell_of_unit(unit, told)
    return {
        "name": bare_name(unit.text("model")),
        "image": FittedImage(image, _FITS.get(unit.text("resize_mode").strip().lower(), "crop")),
        "scale": 1.0 if weight is None else min(max(weight, 0.0), 2.0),
    }


def _tell_of_unit(unit: Body, told: list[str]) -> None:
    module = unit.text("module", "none")
    if module.strip().lower() not in ("", *_MODULES):
        told.append(f"there is no preprocessor '{module[:60]}': the image is taken as the condition itself")
    begin, end = unit.number("guidance_start"), unit.number("guidance_end")
    if begin not in (None, 0.0) or end not in (None, 1.0):
        told.append("a ControlNet is followed from the first step to the last")
    if unit.text("control_mode").strip().lower() not in _BALANCED:
        told.append("a ControlNet is followed as in the control mode Balanced")
    if "mask" in unit or "mask_image" in unit or isinstance(unit.values.get("image"), dict):
        told.append("a ControlNet's mask is not used")


def router(service: Service) -> APIRouter:
    """Makes the routes of `/controlnet`."""
    routes = APIRouter(prefix="/controlnet")
    _add_lists(routes, service)
    _add_detect(routes, service)

    @routes.get("/version")
    async def version() -> dict[str, Any]:
        """The extension's version that this is like."""
        return {"version": _VERSION}

    @routes.get("/settings")
    async def settings() -> dict[str, Any]:
        """How many units are followed at once."""
        return {"control_net_unit_count": 1}

    return routes


def _add_lists(routes: APIRouter, service: Service) -> None:
    @routes.get("/model_list")
    async def model_list() -> dict[str, Any]:
        """The ControlNets that are here, and None."""
        return {"model_list": ["None", *(name for name, _ in named(await service.parts(), "controlnet"))]}

    @routes.get("/module_list")
    async def module_list() -> dict[str, Any]:
        """The preprocessors: none, an image is the condition itself."""
        return {"module_list": _MODULES, "module_detail": {}}

    @routes.get("/control_types")
    async def control_types() -> dict[str, Any]:
        """One type, with everything in it."""
        every = {"module_list": _MODULES, **await model_list(), "default_option": "none", "default_model": "None"}
        return {"control_types": {"All": every}}


def _add_detect(routes: APIRouter, service: Service) -> None:
    @routes.post("/detect")
    async def detect(request: Request) -> dict[str, Any]:
        """What a preprocessor makes of images: the images, as the only one is none."""
        body = await read_body(request)
        module = body.text("controlnet_module", "none").strip().lower()
        if module not in ("", *_MODULES):
            raise InvalidRequest.of("controlnet_module", f"one of: {', '.join(_MODULES)}; send the condition itself")
        images = [image_in(each, "controlnet_images") for each in body.items("controlnet_images")]
        if not images:
            raise InvalidRequest.of("controlnet_images", "a list with an image")
        for each in images:
            await service.inspect(each, "controlnet_images")
        return {"images": [_bare(each) for each in images], "info": "Success"}


def _bare(image: str) -> str:
    """The base64 of an image without the head of a data URL."""
    return image.partition(",")[2] if image.startswith("data:") else image
