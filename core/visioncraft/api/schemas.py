"""The wire's documents, as `api-contract.md` has them: they feed validation and OpenAPI, domain types know nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from visioncraft.keys import KEY_PATTERN, SERVICES
from visioncraft.requests import MAX_PROMPT_CHARACTERS, MAX_SEED


def _whole(value: object) -> object:
    """JSON has one number type: `20.0` is an integer, `"20"` and `true` are not."""
    if isinstance(value, bool | str):
        raise ValueError("expected an integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("expected a number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Text = Annotated[str, Field(strict=True)]


class GenerateBody(BaseModel):
    """What to draw. Unknown fields are ignored; null means the default; the model's own limits apply."""

    model_config = ConfigDict(
        extra="ignore",
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
    num_inference_steps: Whole | None = Field(
        20, ge=1, le=1000, description="Number of denoising steps (15-50 unless the model says otherwise)"
    )
    guidance_scale: Number | None = Field(
        7.5, ge=0, le=100, allow_inf_nan=False, description="How closely to follow the prompt (1-20)"
    )
    width: Whole | None = Field(512, ge=8, le=16384, description="Image width in pixels, a multiple of 8")
    height: Whole | None = Field(512, ge=8, le=16384, description="Image height in pixels, a multiple of 8")
    seed: Whole | None = Field(-1, ge=-1, le=MAX_SEED, description="Random seed (-1 for random)")
    model: Text | None = Field(
        "stable-diffusion-1.5",
        max_length=200,
        description="Model to use for generation. Left out, settings.default_model decides: stable-diffusion-1.5 "
        "where its weights are present, else the embedded visioncraft-mini",
    )
    sampler: Text | None = Field(
        None, max_length=64, description="Sampler by its common name, as `euler_a` or `DPM++ 2M Karras`"
    )
    leonardo_model: Text | None = Field("phoenix-1.0", max_length=200, description="Leonardo.ai specific model")
    aspect_ratio: Text | None = Field("1:1", max_length=32, description="Aspect ratio for Leonardo.ai")
    preset_style: Text | None = Field("CREATIVE", max_length=64, description="Style preset for Leonardo.ai")
    quality: Text | None = Field("standard", max_length=32, description="Quality level for Leonardo.ai")


class GenerationParameters(BaseModel):
    """All parameters used for generation."""

    model_config = ConfigDict(extra="allow")

    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int


class GenerateAnswer(BaseModel):
    """A picture with the facts of its making."""

    image: str = Field(description="Base64-encoded PNG image data", examples=["iVBORw0KGgoAAAANSUhEUgAA..."])
    generation_time: float = Field(description="Time taken to generate in seconds", examples=[12.34])
    vram_used: float = Field(description="VRAM used during generation in GB", examples=[4.2])
    model: str = Field(description="Model used for generation", examples=["stable-diffusion-1.5"])
    seed: int = Field(description="Seed used for generation", examples=[123456789])
    parameters: GenerationParameters


class LoadModelBody(BaseModel):
    """The model to load."""

    model: Text = Field(
        min_length=1, max_length=200, description="Model name to load", examples=["stable-diffusion-1.5"]
    )


class LoadModelAnswer(BaseModel):
    """A model is in memory."""

    message: str = Field(examples=["Model loaded successfully"])
    model: str = Field(examples=["stable-diffusion-1.5"])
    vram_used: float = Field(description="GB", examples=[4.2])
    load_time: float = Field(description="Seconds", examples=[8.5])


class ApiKeyBody(BaseModel):
    """A cloud service's key."""

    service: Text = Field(
        max_length=64,
        description='Service name (currently "leonardo-api")',
        examples=["leonardo-api"],
        json_schema_extra={"enum": [*SERVICES]},
    )
    api_key: Text = Field(
        description="API key for the service: 8 to 512 visible ASCII characters without spaces",
        examples=["your-leonardo-api-key-here"],
        json_schema_extra={"pattern": f"^{KEY_PATTERN}$"},
    )


class ApiKeyAnswer(BaseModel):
    """The key is kept; only its last four characters are shown."""

    message: str = Field(examples=["API key updated successfully"])
    service: str = Field(examples=["leonardo-api"])
    key_preview: str = Field(examples=["************9721"])


class RootAnswer(BaseModel):
    """Basic API information."""

    message: str = Field(examples=["VisionCraft Pro API"])
    status: str = Field(examples=["running"])
    version: str = Field(examples=["1.0.0"])


class HealthAnswer(BaseModel):
    """The server answers."""

    status: Literal["ok"]


class ModelBrief(BaseModel):
    """A local model in `/status`."""

    name: str = Field(examples=["Stable Diffusion 1.5"])
    quality: str = Field(examples=["Excellent"])
    vram_required: str = Field(examples=["4-6GB"])


class CloudBrief(BaseModel):
    """A cloud generator in `/status`."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(examples=["Leonardo.ai API"])
    type: str = Field(examples=["api"])
    quality: str = Field(examples=["Professional"])


class SystemInfo(BaseModel):
    """The machine and its software."""

    model_config = ConfigDict(extra="allow")

    python_version: str = Field(examples=["3.11.0"])
    cuda_available: bool
    cuda_version: str | None = Field(examples=["12.1"])


class StatusAnswer(BaseModel):
    """Comprehensive system status. Memory in GB; `current_model` is empty while no model is loaded."""

    device: str = Field(examples=["cuda"])
    device_name: str = Field(examples=["NVIDIA GeForce GTX 1070"])
    vram_total: float
    vram_used: float
    vram_free: float
    model_loaded: bool
    current_model: str = Field(examples=["stable-diffusion-1.5"])
    current_generator_type: str = Field(examples=["local"])
    available_models: dict[str, ModelBrief]
    available_generators: dict[str, CloudBrief]
    system_info: SystemInfo


class LocalModel(ModelBrief):
    """A local model in `/models`, with what a request to it may ask for."""

    max_resolution: tuple[int, int] = Field(examples=[[1024, 1024]])
    description: str
    steps: tuple[int, int] = Field(description="Fewest and most num_inference_steps", examples=[[15, 50]])
    guidance_scale: tuple[float, float] = Field(examples=[[1, 20]])
    size_multiple: int = Field(description="Width and height are multiples of this", examples=[8])


class ModelsAnswer(BaseModel):
    """The models that can draw now."""

    local_models: dict[str, LocalModel]
    cloud_models: dict[str, dict[str, Any]]


class GalleryEntry(BaseModel):
    """A stored picture."""

    id: str = Field(examples=["img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    filename: str = Field(examples=["generated_image_20240207_123456_s9t0ab.png"])
    prompt: str
    negative_prompt: str
    model: str
    seed: int
    generation_time: float
    vram_used: float
    width: int
    height: int
    created_at: datetime
    url: str = Field(description="The PNG itself", examples=["/images/img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    thumbnail_url: str
    image_data: str | None = Field(None, description="Base64-encoded PNG; absent with image_data=false")


class GalleryAnswer(BaseModel):
    """A page of the gallery, newest first."""

    images: list[GalleryEntry]
    total_count: int
    limit: int
    offset: int


class JobError(BaseModel):
    """The body of the contract's error envelope."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    details: dict[str, Any] | None = None


class JobAnswer(BaseModel):
    """A job and where it stands."""

    id: str = Field(examples=["job_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    stage: str = Field(description="What is going on: queued, loading, drawing, storing, …")
    step: int
    steps: int
    position: int = Field(description="Place in the queue, 1 is next; 0 once it runs")
    model: str
    seed: int
    parameters: GenerationParameters
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    image: GalleryEntry | None = Field(description="The stored picture once the job succeeded")
    error: JobError | None


class PluginAnswer(BaseModel):
    """One plugin, and why it does not serve where it does not."""

    name: str = Field(examples=["local_sd"])
    distribution: str = Field(examples=["visioncraft-local-sd"])
    version: str = Field(examples=["1.0.0"])
    status: Literal["active", "disabled", "failed", "incompatible"]
    hooks: list[str]
    error: str | None


class ErrorAnswer(BaseModel):
    """The error envelope of every route."""

    error: JobError
