"""Models as the protocol lists them, and the model that a request means."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from visioncraft import InvalidRequest, ModelInfo, ModelNotAvailable, Service

from visioncraft_openai_api.fields import shown

_FOREIGN = ("dall-e", "gpt-image", "chatgpt-image")
_CREATED = int(time.time())  # nobody knows when a model was made; since when it is served is near enough
_LONGEST_NAME = 200


def model_document(model: ModelInfo) -> dict[str, Any]:
    """A model as `GET /v1/models` lists it."""
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.engine,
        "name": model.name,
    }


async def listed(service: Service) -> list[ModelInfo]:
    """The models that can draw, the default one first: clients take the first for theirs."""
    models = list(await service.look_for_models())
    try:
        default = (await service.find_model(None)).id
    except ModelNotAvailable:
        return models
    return sorted(models, key=lambda model: (model.id != default, model.id))


async def chosen(
    service: Service, name: str | None, edits: bool = False, masked: bool = False
) -> tuple[ModelInfo, Sequence[str]]:
    """Find the model that draws what a client asks for.

    Clients have names built in that only their maker's service knows. Such a name means the default model, or another
    one where that cannot edit and editing is asked for.

    Args:
        service: Knows the models.
        name: As the client wrote it; None for none.
        edits: Whether there is an image to start from.
        masked: Whether there is a mask.

    Returns:
        The model, and a sentence where it is not the one that was named.

    Raises:
        ModelNotAvailable: No model can draw at all.
    """
    found = await _named(service, name) if name else None
    if found is not None:
        return found, ()
    wanted = {ability for ability, needed in (("init_image", edits), ("mask", masked)) if needed}
    model = await service.find_model(None)
    if not wanted <= model.abilities:
        model = next((each for each in service.models() if wanted <= each.abilities), model)
    told = f"there is no model '{shown(name, _LONGEST_NAME)}' here that can draw; {model.id} drew this" if name else ""
    return model, (told,) if told else ()


async def _named(service: Service, name: str) -> ModelInfo | None:
    """The model of a name; None where there is none that can draw."""
    if name.startswith(_FOREIGN) and all(name != each.id for each in service.models()):
        return None  # without a look for new weights, which takes longer than all else
    try:
        return await service.find_model(name)
    except (ModelNotAvailable, InvalidRequest):
        return None
