"""Models as AUTOMATIC1111 names them, found by title, name or file; and the parts that they draw with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from visioncraft import ModelInfo, ModelNotAvailable, Service, StoredModel

from visioncraft_a1111_api.bodies import Body
from visioncraft_a1111_api.options import Options

_HASH = re.compile(r"\s*\[[0-9a-f]{6,64}\]$", re.IGNORECASE)
_ENDING = re.compile(r"\.(safetensors|ckpt|gguf)$", re.IGNORECASE)


async def find(service: Service, name: str) -> ModelInfo:
    """Finds the model of a title, as `v1-5.safetensors [6ce0161689]`, a name, or an id.

    Raises:
        ModelNotAvailable: There is none, or it cannot draw.
    """
    plain = bare_name(name)
    for each in dict.fromkeys((name, plain)):
        try:
            return await service.find_model(each)
        except ModelNotAvailable as error:
            refused = error
    raise refused


def bare_name(title: str) -> str:
    """Returns a title without its hash and its file's ending."""
    return _ENDING.sub("", _HASH.sub("", title.strip()))


async def selected(service: Service, options: Options, body: Body) -> ModelInfo:
    """Finds the model that a request means: its own word, then the selected one, then the house's default.

    Args:
        service: The server.
        options: What is selected.
        body: The request; `override_settings` may name a model, and so may `model`, as stable-diffusion.cpp has it.

    Raises:
        ModelNotAvailable: It cannot draw.
    """
    named = body.part("override_settings").text("sd_model_checkpoint") or body.text("model")
    if named.strip():
        return await find(service, named)
    return await chosen(service, options)


async def chosen(service: Service, options: Options) -> ModelInfo:
    """Finds the selected model; the house's default where that cannot draw any more.

    Raises:
        ModelNotAvailable: Nothing can draw.
    """
    if options.checkpoint is not None:
        try:
            return await service.find_model(options.checkpoint)
        except ModelNotAvailable:
            pass
    return await service.find_model(None)


def documents(models: Sequence[ModelInfo]) -> list[dict[str, Any]]:
    """Returns `GET /sd-models`. The hash is left open: reading gigabytes for it is not worth a list."""
    return [
        {
            "title": model.id,
            "model_name": model.id,
            "hash": None,
            "sha256": None,
            "filename": model.aliases[0] if model.aliases else model.id,
            "config": None,
        }
        for model in models
    ]


def named(parts: Sequence[StoredModel], kind: str) -> list[tuple[str, StoredModel]]:
    """Returns the parts of a kind that can be used, each with the name of its file."""
    return [
        (part.aliases[0] if part.aliases else part.id, part) for part in parts if part.kind == kind and not part.trouble
    ]
