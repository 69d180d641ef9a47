"""Bodies as this API has them. Clients write names as `inlineData` and as `inline_data`; null is nothing."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_MAX = 2**63 - 1

Whole = Annotated[int, Field(ge=-_MAX, le=_MAX)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]


class Sent(BaseModel):
    """A document of this API. Its validator is made for the first request: most servers have no such client."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, sent: Any) -> Any:
        return {name: value for name, value in sent.items() if value is not None} if isinstance(sent, dict) else sent


class Wishes(Sent):
    """How to draw: this API's own parameters, and those that `POST /generate` has beside them."""

    seed: Whole | None = None
    negative_prompt: Text | None = None
    guidance_scale: Number | None = None
    num_inference_steps: Whole | None = None
    width: Whole | None = None
    height: Whole | None = None
    sampler: Text | None = None
    strength: Number | None = None


class Frame(Sent):
    """Which size is wished for: a proportion as `16:9`, and about how many pixels, as `1K`."""

    aspect_ratio: Text | None = None
    image_size: Text | None = None


class OutputOptions(Sent):
    """What the images are answered as."""

    mime_type: Text | None = None
    compression_quality: Annotated[int, Field(ge=1, le=100)] | None = None


class Instance(Sent):
    """What to draw."""

    prompt: Text


class PredictParameters(Wishes, Frame):
    """`parameters` of `:predict`."""

    sample_count: Whole | None = None
    output_options: OutputOptions = Field(default_factory=OutputOptions)


class PredictBody(Sent):
    """The body of `:predict`. Open WebUI sends one instance without a list around it."""

    instances: list[Instance] | Instance
    parameters: PredictParameters = Field(default_factory=PredictParameters)


class InlineData(Sent):
    """A file in base64."""

    data: Text


class Part(Sent):
    """A piece of a turn."""

    text: Text | None = None
    inline_data: InlineData | None = None
    file_data: dict[str, Any] | None = None


class Content(Sent):
    """A turn of a talk."""

    role: Text | None = None
    parts: Annotated[list[Part], Field(max_length=100)] = Field(default_factory=list)


class GenerationConfig(Wishes):
    """`generationConfig` of `:generateContent`."""

    candidate_count: Whole | None = None
    image_config: Frame = Field(default_factory=Frame)


class GenerateBody(Sent):
    """The body of `:generateContent`."""

    contents: list[Content] | Content
    generation_config: GenerationConfig = Field(default_factory=GenerationConfig)
