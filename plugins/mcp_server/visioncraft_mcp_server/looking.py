"""Tools that change nothing: the models, and the gallery."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ContentBlock
from pydantic import Field
from visioncraft import GalleryQuery, ImageRecord, ModelInfo, Service, StorageError, require

from visioncraft_mcp_server.results import Results, image_content, in_text, in_words

ImageId = Annotated[str, Field(max_length=100, description="The image, as img_…")]
Words = Annotated[
    str, Field(max_length=1000, description="Words of the prompt or the notes; empty for the newest images")
]
Limit = Annotated[int, Field(ge=1, le=20, description="How many images at most")]
Cursor = Annotated[
    str | None, Field(max_length=1000, description="next_cursor of the answer before, for what follows it")
]


class LookingTools:
    """The tools.

    Args:
        service: Has the models and the gallery.
        results: Makes answers.
    """

    def __init__(self, service: Service, results: Results) -> None:
        self._service, self._results = service, results

    @in_words
    async def list_models(self) -> CallToolResult:
        """The models that can draw now, what each can do, and which one draws where none is named."""
        models = [_model(each) for each in await self._service.look_for_models()]
        default = (await self._service.find_model(None)).id if models else ""
        lines = [f"{each['id']}: {each['description'] or each['name']}" for each in models]
        return in_text("\n".join([*lines, f"Default: {default}"]), {"models": models, "default": default})

    @in_words
    async def search_gallery(
        self, ctx: Context, q: Words = "", limit: Limit = 8, cursor: Cursor = None
    ) -> CallToolResult:
        """Find images by the words of their prompts, the newest first. Answers small images with their ids."""
        require("gallery:read")
        page = await asyncio.to_thread(self._service.store.list, limit, 0, GalleryQuery(text=q), cursor)
        facts = {
            "images": [self._results.facts(each, ctx) for each in page.items],
            "total": page.total,
            "next_cursor": page.next_cursor,
        }
        lines = [f"{each.id}: {each.prompt[:200]}" for each in page.items] or ["No image has these words"]
        small = [each for record in page.items for each in await self._thumbnail(record)]
        return in_text("\n".join(lines), facts, small)

    @in_words
    async def get_image(self, image_id: ImageId, ctx: Context) -> CallToolResult:
        """Show an image of the gallery, with what made it and a link to it."""
        require("gallery:read")
        return await self._results.of_image(image_id, ctx)

    async def _thumbnail(self, record: ImageRecord) -> list[ContentBlock]:
        try:
            return [image_content(await asyncio.to_thread(self._service.store.thumbnail, record.id))]
        except StorageError:  # one that cannot be read must not take the others with it
            return []


def _model(model: ModelInfo) -> dict[str, Any]:
    """A model as programs read it."""
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "width": model.defaults.width,
        "height": model.defaults.height,
        "steps": model.defaults.steps,
        "steps_range": list(model.limits.steps),
        "largest": list(model.limits.max_resolution),
        "edits": "init_image" in model.abilities,
        "masks": "mask" in model.abilities,
    }
