"""Logging to stderr, the same in commands, in the server and in its workers."""

from __future__ import annotations

import logging

_OURS = ("visioncraft", "uvicorn")


def configure_logging(verbose: bool, server: bool = False) -> None:
    """Log warnings for a command, what happens for the server, everything when verbose.

    Parameters
    ----------
    verbose: Debug messages, of the libraries too.
    server: Add times, and messages of level INFO from this project and from uvicorn.
    """
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


def _worth_showing(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_OURS)
