"""Tools that draw."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field
from visioncraft import Service

from visioncraft_mcp_server.jobs import WAIT_S, JobTools, Wait
from visioncraft_mcp_server.results import in_words, request_of

_SEEDS = 2**63 - 1

Model = Annotated[
    str | None, Field(max_length=200, description="A model's id, as list_models tells; left out, the default")
]
Negative = Annotated[str | None, Field(max_length=10_000, description="What to keep out of the image")]
Side = Annotated[int | None, Field(ge=8, le=16384, description="Pixels; left out, the model's own size")]
Steps = Annotated[int | None, Field(ge=1, le=1000, description="Denoising steps; left out, the model's own number")]
Guidance = Annotated[
    float | None, Field(ge=0, le=100, allow_inf_nan=False, description="How closely to follow the prompt")
]
Seed = Annotated[int | None, Field(ge=-1, le=_SEEDS, description="The same seed draws the same image; -1 is any")]
Count = Annotated[int, Field(ge=1, le=16, description="How many images, with seeds that follow each other")]
Key = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=255,
        description="Any text. The same key with the same arguments gives the same job, however often it is sent; it "
        "goes on when the call is broken off: for calling again after an answer was lost",
    ),
]
Prompt = Annotated[str, Field(min_length=1, max_length=10_000, description="What to draw, in words")]
Source = Annotated[str, Field(description="The image: its id, as img_…, or a PNG, JPEG or WebP file in base64")]
MaskOf = Annotated[
    str | None,
    Field(description="Where to draw anew, white is and black stays: an id, as img_…, or a file in base64"),
]
Strength = Annotated[
    float | None, Field(gt=0, le=1, description="How much is drawn anew; 0.8 unless given, with a mask 1")
]


class DrawingTools:
    """The tools.

    Args:
        service: Draws.
        jobs: Wait for what is drawn.
    """

    def __init__(self, service: Service, jobs: JobTools) -> None:
        self._service, self._jobs = service, jobs

    @in_words
    async def generate_image(
        self,
        prompt: Prompt,
        ctx: Context,
        model: Model = None,
        negative_prompt: Negative = None,
        width: Side = None,
        height: Side = None,
        steps: Steps = None,
        guidance: Guidance = None,
        seed: Seed = None,
        n: Count = 1,
        wait_s: Wait = WAIT_S,
        key: Key = None,
    ) -> CallToolResult:
        """Draw an image from words. Answers it with its id, seed and link, or the job's id if that takes long."""
        fields = {"width": width, "height": height, "num_images": n, **_common(negative_prompt, steps, guidance, seed)}
        return await self._draw(ctx, prompt, model, fields, wait_s, key)

    @in_words
    async def edit_image(
        self,
        image: Source,
        prompt: Prompt,
        ctx: Context,
        mask: MaskOf = None,
        strength: Strength = None,
        model: Model = None,
        negative_prompt: Negative = None,
        steps: Steps = None,
        guidance: Guidance = None,
        seed: Seed = None,
        wait_s: Wait = WAIT_S,
        key: Key = None,
    ) -> CallToolResult:
        """Draw over an image, or where a mask is white. The prompt says how the whole is to look afterwards."""
        start = {"init_image": image, "mask": mask, "strength": strength}
        fields = {**start, **_common(negative_prompt, steps, guidance, seed)}
        return await self._draw(ctx, prompt, model, fields, wait_s, key)

    async def _draw(
        self, ctx: Context, prompt: str, model: str | None, fields: dict[str, Any], wait_s: float, key: str | None
    ) -> CallToolResult:
        job = await self._service.submit(
            model,
            prompt,
            caller=self._service.caller_of(request_of(ctx)),
            key=key,
            dialect="mcp",
            **{name: value for name, value in fields.items() if value is not None},
        )
        return await self._jobs.drawn(job, ctx, wait_s, keeps=key is not None)


def _common(negative: str | None, steps: int | None, guidance: float | None, seed: int | None) -> dict[str, Any]:
    return {"negative_prompt": negative, "num_inference_steps": steps, "guidance_scale": guidance, "seed": seed}
