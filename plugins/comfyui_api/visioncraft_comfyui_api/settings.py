"""The plugin's settings."""

from __future__ import annotations

from pydantic import Field
from visioncraft import PluginSettings


class ComfyUISettings(PluginSettings):
    """`[plugins.config.comfyui_api]`: where ComfyUI's clients find the server, and what is kept for them.

    Args:
        port: Where it listens, beside the API's own port; 0 switches it off.
        previews: Whether everybody gets previews, and not only who asks for them: some clients take one for the image.
        history: How many ended prompts are remembered at most, for as long as the server remembers their jobs.
        uploads_mb: How much of the disk uploaded images may take, in MiB; the longest unused go first.
    """

    port: int = Field(8188, ge=0, le=65535)
    previews: bool = False
    history: int = Field(1000, ge=200)
    uploads_mb: int = Field(1024, ge=1)
