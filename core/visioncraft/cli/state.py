"""What every command is handed: the global options, and the way from them to settings and plugins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import LogRecord

    from visioncraft.registry import Registry
    from visioncraft.settings import Settings

_OURS = ("visioncraft", "uvicorn")


@dataclass(frozen=True, slots=True)
class State:
    """The global options.

    Parameters
    ----------
    settings_file: The file named on the command line or in the environment; None leaves the search to the settings.
    verbose: Whether to log everything and to show tracebacks.
    """

    settings_file: Path | None
    verbose: bool

    def settings(self) -> Settings:
        """Read and validate the settings. Raises `ConfigurationError`."""
        from visioncraft.settings import load_settings

        return load_settings(self.settings_file)

    def registry(self) -> Registry:
        """What the plugins offer, without starting the gallery. Raises `ConfigurationError`."""
        from visioncraft.registry import Registry
        from visioncraft.runtime import discovered

        settings = self.settings()
        return Registry(settings, discovered(settings))


def configure_logging(verbose: bool, server: bool = False) -> None:
    """Log to stderr: warnings for a command, what happens for the server, everything when verbose.

    Parameters
    ----------
    verbose: Debug messages, of the libraries too.
    server: Add times, and messages of level INFO from this project and from uvicorn.
    """
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_format(verbose, server)))
    level = logging.DEBUG if verbose else logging.INFO if server else logging.WARNING
    if not verbose:
        handler.addFilter(_worth_showing)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its milestones are said in one line of ours
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _format(verbose: bool, server: bool) -> str:
    if verbose:
        return "%(asctime)s %(levelname)s %(name)s: %(message)s"
    return "%(asctime)s %(levelname)s: %(message)s" if server else "%(levelname)s: %(message)s"


def _worth_showing(record: LogRecord) -> bool:
    import logging

    return record.levelno >= logging.WARNING or record.name.startswith(_OURS)
