"""The protocol's library, set up: which tools there are, and how it listens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from starlette.types import Receive, Scope, Send
from visioncraft import Decoders, Service, Settings, __version__

from visioncraft_mcp_server.drawing import DrawingTools
from visioncraft_mcp_server.jobs import JobTools
from visioncraft_mcp_server.looking import LookingTools
from visioncraft_mcp_server.results import Results

INSTRUCTIONS = (
    "Draws images, edits them, and finds them again in the gallery. Every image has an id, as img_…, which edit_image "
    "and get_image take. An image that takes long is answered with the id of its job, as job_…: get_job waits for it."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_DRAWS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
_CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class Speaker:
    """A server of the protocol, in both of its generations: with sessions, and with each request for itself.

    Args:
        settings: The server's.
        service: Draws, and has the gallery.
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self._decoders = Decoders(settings.pictures)
        self._server: MCPServer[Any] = MCPServer(
            "visioncraft", "VisionCraft Pro", instructions=INSTRUCTIONS, version=__version__, subscriptions=False
        )
        results = Results(service, self._decoders)
        self._jobs = JobTools(service, results)
        self._add_tools(service, results)
        # The server's own guards have looked at the Host, the Origin and the token.
        self._server.streamable_http_app(
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=settings.server.max_body_bytes,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While it may be asked; afterwards nothing of it is left."""
        try:
            async with self._server.session_manager.run():
                yield
                self._jobs.ending = True
        finally:
            self._decoders.close()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        await self._server.session_manager.handle_request(scope, receive, send)

    def _add_tools(self, service: Service, results: Results) -> None:
        drawing, looking = DrawingTools(service, self._jobs), LookingTools(service, results)
        self._add(drawing.generate_image, "Draw an image", _DRAWS)
        self._add(drawing.edit_image, "Edit an image", _DRAWS)
        self._add(self._jobs.get_job, "Look after a job", _READS)
        self._add(self._jobs.cancel_job, "Cancel a job", _CANCELS)
        self._add(looking.list_models, "List the models", _READS)
        self._add(looking.search_gallery, "Search the gallery", _READS)
        self._add(looking.get_image, "Show an image", _READS)

    def _add(self, tool: Callable[..., Any], title: str, annotations: ToolAnnotations) -> None:
        self._server.add_tool(tool, title=title, annotations=annotations)
