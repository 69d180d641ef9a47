"""What every command is handed: the global options, and the way from them to settings and plugins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visioncraft.plugins.registry import Registry
    from visioncraft.settings import Settings


@dataclass(frozen=True, slots=True)
class State:
    """The global options.

    Args:
        settings_file: The file named on the command line or in the environment; None leaves the search to the settings.
        verbose: Whether to log everything and to show tracebacks.
        safe_mode: Whether to leave out all plugins but VisionCraft's own.
    """

    settings_file: Path | None
    verbose: bool
    safe_mode: bool = False

    def settings(self) -> Settings:
        """Read and validate the settings. Raises `ConfigurationError`."""
        from visioncraft.settings import load_settings

        settings = load_settings(self.settings_file)
        if not self.safe_mode:
            return settings
        return settings.model_copy(update={"plugins": settings.plugins.model_copy(update={"safe_mode": True})})

    def registry(self) -> Registry:
        """What the plugins offer, without starting the gallery. Raises `ConfigurationError`."""
        from visioncraft.plugins.registry import Registry
        from visioncraft.runtime.discovery import discovered

        settings = self.settings()
        return Registry(settings, discovered(settings))
