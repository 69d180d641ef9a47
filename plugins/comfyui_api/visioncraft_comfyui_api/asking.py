"""From a recipe to a job: images that the graph names, steps as this server counts them, refusals by their node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from visioncraft import FittedImage, InvalidRequest, JobView, Mask, ModelInfo, ModelNotAvailable, Service

from visioncraft_comfyui_api.graph.errors import NodeRefused
from visioncraft_comfyui_api.graph.recipe import Recipe
from visioncraft_comfyui_api.graph.values import Loaded, Region
from visioncraft_comfyui_api.uploads import Found

DIALECT = "comfyui"
"""The fact `dialect` of every image."""


Images = Callable[[str], Awaitable[Found | None]]
"""Finds the image that a node names; raises `InvalidRequest` for what is no name."""


async def ask(
    service: Service, images: Images, recipe: Recipe, *, caller: str, key: str | None, priority: int
) -> JobView:
    """Queue the job of a graph.

    Args:
        service: The server.
        images: Finds an image that the graph names.
        recipe: The graph as a request.
        caller: Who takes turns.
        key: The same one gives the same job.
        priority: Higher ones run first.

    Raises `NodeRefused` that names the node and the input at fault, and what the server raises for other reasons.
    """
    try:
        model = await service.find_model(_model(recipe, service))
        fields = {**recipe.fields, **await _images(recipe, images), **_steps(recipe, model)}
        return await service.submit(
            model.id,
            recipe.prompt,
            caller=caller,
            key=key,
            priority=priority,
            warnings=recipe.warnings,
            dialect=DIALECT,
            **fields,
        )
    except InvalidRequest as error:
        node, name = recipe.origin(str(error.details["field"]))
        raise NodeRefused(node, name, str(error.details["issue"])) from error
    except ModelNotAvailable as error:
        raise NodeRefused(*recipe.origin("model"), error.message) from error


def _model(recipe: Recipe, service: Service) -> str | None:
    """The graph's model; for one that only enlarges, any that can."""
    if recipe.model is not None:
        return recipe.model
    return next((each.id for each in service.models() if {"init_image", "upscaler"} <= each.abilities), None)


async def _images(recipe: Recipe, images: Images) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if recipe.image is not None:
        found["init_image"] = await _image(recipe.image, images)
    if recipe.mask is not None:
        found["mask"] = await _mask(recipe.mask, images)
    if recipe.follows is not None:
        found["controlnet"] = {**recipe.fields["controlnet"], "image": await _image(recipe.follows, images)}
    return found


async def _image(loaded: Loaded, images: Images) -> bytes | str | FittedImage:
    image = (await _found(loaded.name, loaded.node, images)).image
    return FittedImage(image, "crop") if loaded.cropped else image


async def _mask(region: Region, images: Images) -> Mask:
    found = await _found(region.name, region.node, images)
    image = found.mask if region.channel == "alpha" and found.mask is not None else found.image
    return Mask(image=image, channel=region.channel, invert=region.invert, grow=region.grow)


async def _found(name: str, node: str, images: Images) -> Found:
    try:
        found = await images(name)
    except InvalidRequest as error:
        raise NodeRefused(node, "image", str(error.details["issue"])) from error
    if found is None:
        raise NodeRefused(node, "image", f"Invalid image file: {name}; upload it first (POST /upload/image)")
    return found


def _steps(recipe: Recipe, model: ModelInfo) -> dict[str, Any]:
    """Steps and strength, so that as many steps are taken as the graph says.

    ComfyUI takes all steps of a node over the part of the noise that comes back. Here steps are those of the whole
    schedule, of which the last ones are taken.
    """
    found: dict[str, Any] = {}
    if "hires" in recipe.fields:
        hires = recipe.fields["hires"]
        steps, strength = spread(hires["steps"], hires["strength"])
        found["hires"] = {**hires, "steps": steps, "strength": strength}
    if recipe.strength is not None:
        found["strength"] = recipe.strength
    if recipe.steps is None:
        return found
    found["num_inference_steps"] = recipe.steps
    if recipe.strength is not None and 0 < recipe.strength < 1:
        most = model.limits.steps[1]
        steps, strength = spread(recipe.steps, recipe.strength)
        if steps > most:
            steps, strength = max(most, recipe.steps), recipe.strength
            told = (
                f"{int(steps * strength)} steps are taken, and not {recipe.steps}: {model.id} has at most {most} in all"
            )
            recipe.warnings.append(told)
        found |= {"num_inference_steps": steps, "strength": strength}
    return found


def spread(taken: int, strength: float) -> tuple[int, float]:
    """Steps of the whole schedule, and the strength with which so many of them are taken."""
    if strength >= 1:
        return taken, 1.0
    steps = max(taken, int(taken / strength))
    exact = int(steps * strength) == taken
    return steps, strength if exact else min(1.0, (taken + 0.5) / steps)


def classes_of(recipe: Recipe, classes: Mapping[str, str]) -> dict[str, str]:
    """The classes of the nodes that run, in their order."""
    return {node: classes[node] for node in recipe.nodes}
