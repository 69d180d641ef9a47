"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """OpenAI's images API."""
    from visioncraft_openai_api.dialects import image_dialects  # what a command that serves nothing does not need

    return [*image_dialects(settings, service)]
