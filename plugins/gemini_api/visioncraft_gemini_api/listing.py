"""Models as this API lists them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from visioncraft import ModelInfo

METHODS = ("predict", "generateContent")


class Listed(BaseModel):
    """A model."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    name: str
    base_model_id: str
    version: str = "1"
    display_name: str
    description: str
    input_token_limit: int = 0
    output_token_limit: int = 0
    supported_generation_methods: tuple[str, ...] = METHODS


class ModelList(BaseModel):
    """All of them, on one page."""

    models: list[Listed]


def listed(model: ModelInfo) -> Listed:
    """A model as a client of this API knows models."""
    return Listed(
        name=f"models/{model.id}",
        base_model_id=model.id,
        display_name=model.name,
        description=model.description,
    )
