"""`[plugins.config.web_ui]`."""

from __future__ import annotations

from pydantic import Field
from visioncraft import PluginSettings


class PageSettings(PluginSettings):
    """The page's own settings.

    Args:
        session_hours: How long a browser stays logged in after the token was typed there.
    """

    session_hours: float = Field(720.0, gt=0, le=8760)
