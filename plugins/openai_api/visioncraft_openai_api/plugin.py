"""The hooks."""

from __future__ import annotations

from collections.abc import Sequence

from visioncraft import Dialect, Service, Settings, hookimpl


@hookimpl
def visioncraft_routers(settings: Settings, service: Service) -> Sequence[Dialect]:
    """OpenAI's images API."""
    from visioncraft_openai_api.batch.dialects import batch_dialects  # what a command that serves nothing does not need
    from visioncraft_openai_api.dialects import image_dialects

    return [*batch_dialects(settings, service), *image_dialects(settings, service)]
