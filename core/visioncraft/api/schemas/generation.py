"""Drawing: `/generate` and `/load_model`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from visioncraft.api.schemas.fields import NUMBER, WHOLE, Asked, Number, Picture, Text
from visioncraft.api.schemas.hints import FOREIGN as FOREIGN_NAMES
from visioncraft.jobs.requests import MAX_IMAGES, MAX_LORAS, MAX_PROMPT_CHARACTERS, MAX_SEED
from visioncraft.runtime.service import NAME_PATTERN

_PICTURE = "base64 of a PNG, JPEG or WebP file, a `data:` URL of one, or the id of a picture in the gallery"


class LoRABody(Asked):
    """A LoRA to draw with."""

    name: Text = Field(min_length=1, max_length=200, description="As `visioncraft models` lists it")
    weight: Number = Field(1.0, ge=-10, le=10, allow_inf_nan=False, description="How much of it")


class ControlNetBody(Asked):
    """A ControlNet and what it follows."""

    name: Text = Field(min_length=1, max_length=200, description="As `visioncraft models` lists it")
    image: Picture = Field(description=f"The condition as the ControlNet knows it (edges, depth, a pose): {_PICTURE}")
    scale: Number = Field(1.0, ge=0, le=2, allow_inf_nan=False, description="How closely it is followed")


class HiresBody(Asked):
    """A second pass: the picture is enlarged and drawn over."""

    scale: Number = Field(2.0, ge=1, le=4, allow_inf_nan=False, description="By how much width and height grow")
    strength: Number = Field(
        0.7, gt=0, le=1, allow_inf_nan=False, description="How much is drawn anew; less stays closer to the first pass"
    )
    steps: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = Field(
        None, description="Steps of the second pass; those of the first if null"
    )
    upscaler: Text | None = Field(
        None, max_length=200, description="What enlarges the picture between the passes; null enlarges its latents"
    )


class GenerateBody(Asked):
    """What to draw. Unknown fields are ignored; null means the default; the model's own limits apply."""

    FOREIGN = FOREIGN_NAMES
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "A serene mountain landscape at sunrise",
                    "width": 512,
                    "height": 512,
                    "num_inference_steps": 20,
                }
            ]
        },
    )

    prompt: Text = Field(
        min_length=1,
        max_length=MAX_PROMPT_CHARACTERS,
        description="Text description of the image to generate",
        examples=["A beautiful landscape with mountains and a lake at sunset"],
    )
    negative_prompt: Text | None = Field(
        "", max_length=MAX_PROMPT_CHARACTERS, description="Things to avoid in the generated image"
    )
    num_inference_steps: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = Field(
        20, description="Number of denoising steps (15-50 unless the model says otherwise)"
    )
    guidance_scale: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), NUMBER] | None = Field(
        7.5, description="How closely to follow the prompt (1-20)"
    )
    width: Annotated[int, Field(ge=8, le=16384), WHOLE] | None = Field(
        512, description="Image width in pixels, a multiple of 8"
    )
    height: Annotated[int, Field(ge=8, le=16384), WHOLE] | None = Field(
        512, description="Image height in pixels, a multiple of 8"
    )
    seed: Annotated[int, Field(ge=-1, le=MAX_SEED), WHOLE] | None = Field(-1, description="Random seed (-1 for random)")
    num_images: Annotated[int, Field(ge=1, le=MAX_IMAGES), WHOLE] | None = Field(
        None, description="How many pictures, with seeds that follow each other; 1 unless given. `image` is the first"
    )
    model: Text | None = Field(
        "stable-diffusion-1.5",
        max_length=200,
        description="Model to use for generation. Left out, settings.default_model decides: stable-diffusion-1.5 "
        "where its weights are present, else the embedded visioncraft-mini",
    )
    sampler: Text | None = Field(
        None, max_length=64, description="Sampler by its common name, as `euler_a` or `DPM++ 2M Karras`"
    )
    init_image: Picture | None = Field(
        None,
        description=f"The picture to start from: {_PICTURE}. It is scaled to `width` and `height`; where both are left "
        "out, they follow it",
    )
    strength: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NUMBER] | None = Field(
        None,
        description="How much of `init_image` is drawn anew; 0.8 unless given, with a `mask` 1. 0 draws nothing: "
        "`upscaler` enlarges the picture, which keeps its own size before that",
    )
    mask: Picture | None = Field(
        None, description=f"Where `init_image` is drawn anew: white is, black stays; {_PICTURE}"
    )
    loras: list[LoRABody] | None = Field(None, max_length=MAX_LORAS, description="LoRAs to draw with")
    controlnet: ControlNetBody | None = Field(None, description="A ControlNet and what it follows")
    clip_skip: Annotated[int, Field(ge=1, le=12), WHOLE] | None = Field(
        None, description="Layer of the text encoder, counted from the last, which is 1"
    )
    hires: HiresBody | None = Field(None, description="Draw in two passes, the second one larger")
    upscaler: Text | None = Field(
        None, min_length=1, max_length=200, description="What enlarges the finished picture: `lanczos`, or a model"
    )
    upscale: Annotated[float, Field(ge=1, le=8, allow_inf_nan=False), NUMBER] | None = Field(
        None, description="By how much, with `upscaler`; 2 unless given"
    )
    leonardo_model: Text | None = Field("phoenix-1.0", max_length=200, description="Leonardo.ai specific model")
    aspect_ratio: Text | None = Field("1:1", max_length=32, description="Aspect ratio for Leonardo.ai")
    preset_style: Text | None = Field("CREATIVE", max_length=64, description="Style preset for Leonardo.ai")
    quality: Text | None = Field("standard", max_length=32, description="Quality level for Leonardo.ai")
    priority: Annotated[int, Field(ge=-10, le=10), WHOLE] | None = Field(
        0, description="Higher ones are drawn first; among equals, clients take turns"
    )


class GenerationParameters(BaseModel):
    """All parameters used for generation."""

    model_config = ConfigDict(extra="allow")

    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int


class OneOfSeveral(BaseModel):
    """One picture of a request for several."""

    id: str = Field(description="Of the stored picture", examples=["img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    seed: int = Field(description="Draws this picture alone")
    image: str = Field(description="Base64-encoded PNG image data")


class GenerateAnswer(BaseModel):
    """A picture with the facts of its making."""

    image: str = Field(description="Base64-encoded PNG image data", examples=["iVBORw0KGgoAAAANSUhEUgAA..."])
    generation_time: float = Field(description="Time taken to generate in seconds", examples=[12.34])
    vram_used: float = Field(description="VRAM used during generation in GB", examples=[4.2])
    model: str = Field(description="Model used for generation", examples=["stable-diffusion-1.5"])
    seed: int = Field(description="Seed used for generation", examples=[123456789])
    parameters: GenerationParameters
    images: list[OneOfSeveral] | None = Field(
        None, description="All pictures in their order, where `num_images` asked for several; else absent"
    )
    warnings: list[str] | None = Field(
        None, description="What of the request was not drawn, or not as asked; absent where there is nothing to say"
    )


class LoadModelBody(Asked):
    """The model to load."""

    model: Text = Field(
        min_length=1,
        max_length=200,
        description="Model name to load",
        examples=["stable-diffusion-1.5"],
        json_schema_extra={"pattern": NAME_PATTERN},
    )


class LoadModelAnswer(BaseModel):
    """A model is in memory."""

    message: str = Field(examples=["Model loaded successfully"])
    model: str = Field(examples=["stable-diffusion-1.5"])
    vram_used: float = Field(description="GB", examples=[4.2])
    load_time: float = Field(description="Seconds", examples=[8.5])
    warnings: list[str] | None = Field(None, description="What of the request means nothing here; else absent")
