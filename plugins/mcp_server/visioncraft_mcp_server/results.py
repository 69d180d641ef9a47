"""What tools answer: words and an image for the model, a link for people, and the same facts for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import pybase64
from fastapi import Request
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent
from visioncraft import Decoders, ImageRecord, JobView, NotFound, Service, VisionCraftError, is_image_id

from visioncraft_mcp_server.door import HUNG_UP
from visioncraft_mcp_server.errors import told

SIDES = (1024, 768, 512, 256)
"""The longest sides of a shown image, in pixels, tried in their order: hosts bound an answer to about a megabyte."""
MOST_BYTES = 700_000
"""Of a shown image, before base64."""

P = ParamSpec("P")
Tool = Callable[P, Awaitable[CallToolResult]]


def in_words(tool: Tool[P]) -> Tool[P]:
    """A tool whose errors are told to the model, with the next step."""

    @wraps(tool)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except VisionCraftError as error:
            raise ToolError(told(error)) from error

    return answered


def request_of(context: Context) -> Request:
    """The HTTP request that a call came with."""
    request = context.request_context.request
    assert isinstance(request, Request)  # noqa: S101 - there is no other transport
    return request


def hung_up(context: Context) -> asyncio.Event:
    """Set once the client of a call has hung up."""
    event: asyncio.Event = getattr(request_of(context).state, HUNG_UP)
    return event


class Results:
    """Makes answers.

    Args:
        service: Has the images.
        decoders: Make them small, in processes of their own: some were drawn elsewhere.
    """

    def __init__(self, service: Service, decoders: Decoders) -> None:
        self._service, self._decoders = service, decoders

    def facts(self, record: ImageRecord, context: Context) -> dict[str, Any]:
        """An image as programs read it."""
        return {
            "id": record.id,
            "seed": record.seed,
            "url": self._service.image_url(request_of(context), record.id),
            "width": record.width,
            "height": record.height,
            "prompt": record.prompt,
            "model": record.model,
            "created_at": record.created_at.isoformat(),
        }

    async def of_job(self, job: JobView, context: Context) -> CallToolResult:
        """A job that has ended well: every image of it."""
        lines = [f"{each.id}: {each.width}x{each.height}, seed {each.seed}, model {each.model}" for each in job.images]
        text = "\n".join([*lines, *(f"Note: {warning}" for warning in job.warnings)])
        content: list[ContentBlock] = [TextContent(text=text)]
        for record in job.images:
            content += [*await self.shown(record), self.link(record, context)]
        images = [self.facts(each, context) for each in job.images]
        facts = {"job_id": job.id, "status": str(job.state), "warnings": list(job.warnings), "images": images}
        return CallToolResult(content=content, structured_content={**images[0], **facts})

    async def of_image(self, image_id: str, context: Context) -> CallToolResult:
        """An image of the gallery, with what made it. Raises `NotFound`."""
        if not is_image_id(image_id):
            raise NotFound("There is no such image: an id begins with img_")
        record = await asyncio.to_thread(self._service.store.get, image_id)
        facts = self.facts(record, context) | {"parameters": dict(record.parameters)}
        words = [f"{record.id}: {record.width}x{record.height}, seed {record.seed}, model {record.model}"]
        words += [f"Prompt: {record.prompt}"] + [f"Tags: {', '.join(record.marks.tags)}"] * bool(record.marks.tags)
        content: list[ContentBlock] = [TextContent(text="\n".join(words)), *await self.shown(record)]
        return CallToolResult(content=[*content, self.link(record, context)], structured_content=facts)

    async def shown(self, record: ImageRecord) -> list[ContentBlock]:
        """The image, small enough for an answer; nothing where it cannot be made so."""
        png = await asyncio.to_thread(self._service.store.open, record.id)
        webp = await asyncio.to_thread(self._small, png)
        return [image_content(webp)] if webp else []

    def link(self, record: ImageRecord, context: Context) -> ResourceLink:
        """Where the whole image is."""
        url = self._service.image_url(request_of(context), record.id)
        return ResourceLink(uri=url, name=record.filename, title=record.prompt[:100] or None, mime_type="image/png")

    def _small(self, png: bytes) -> bytes | None:
        for side in SIDES:
            made = self._decoders.thumbnail(png, side)
            if made is None or len(made) <= MOST_BYTES:
                return made
        return None


def image_content(webp: bytes) -> ImageContent:
    """A WebP as content."""
    return ImageContent(data=pybase64.b64encode(webp).decode(), mime_type="image/webp")


def in_text(text: str, facts: Mapping[str, Any], images: Sequence[ContentBlock] = ()) -> CallToolResult:
    """An answer in words."""
    return CallToolResult(content=[TextContent(text=text), *images], structured_content=dict(facts))
