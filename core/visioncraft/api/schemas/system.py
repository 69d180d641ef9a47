"""The server itself: `/`, `/health`, `/status`, `/models`, `/plugins`, `/api-key`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from visioncraft.api.schemas.fields import Asked, Text
from visioncraft.api_keys import KEY_PATTERN


class ApiKeyBody(Asked):
    """A cloud service's key."""

    service: Text = Field(
        max_length=64,
        description="Service name: one that a plugin needs a key of",
        examples=["leonardo-api"],
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
    warnings: list[str] | None = Field(None, description="What of the request means nothing here; else absent")


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
    abilities: list[str] = Field(
        description="Fields of a request that it takes beside those that every model does",
        examples=[["init_image", "mask"]],
    )
    defaults: dict[str, Any] = Field(
        description="What it draws with where a request does not say",
        examples=[{"num_inference_steps": 20, "guidance_scale": 7.5, "width": 512, "height": 512}],
    )
    samplers: list[str] = Field(description="Samplers that it takes; empty where its plugin does not say")
    parameters: dict[str, dict[str, Any]] = Field(
        description="Further fields of a request that this model takes, each as a JSON Schema",
        examples=[{"palette": {"type": "string", "description": "Colours to draw with", "enum": ["warm", "cold"]}}],
    )
    engines: list[str] = Field(description="Engines that can run it, the first one preferred", examples=[["diffusers"]])
    licence: str = Field(description="Of its weights: an SPDX identifier or a URL; empty where nobody said")


class ModelsAnswer(BaseModel):
    """The models that can draw now."""

    local_models: dict[str, LocalModel]
    cloud_models: dict[str, dict[str, Any]]


class PluginAnswer(BaseModel):
    """One plugin, and why it does not serve where it does not."""

    name: str = Field(examples=["local_sd"])
    distribution: str = Field(examples=["visioncraft-local-sd"])
    version: str = Field(examples=["1.0.0"])
    status: Literal["active", "disabled", "failed", "incompatible"]
    hooks: list[str]
    error: str | None
