"""Logging to stderr, and to a file where settings name one: the same in commands, in the server and in its workers.

Whatever stands in a record, a prompt, a file's name, a header, an error's words: it neither begins a line of the log
nor steers the terminal that shows it.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from visioncraft.printing import visible

if TYPE_CHECKING:
    import asyncio

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

_OURS = ("visioncraft", "uvicorn")
_request: ContextVar[tuple[str, asyncio.Task[Any] | None]] = ContextVar("request", default=("", None))


def configure_logging(
    verbose: bool,
    server: bool = False,
    level: Level | None = None,
    form: Format = "text",
    file: Path | None = None,
) -> None:
    """Log warnings for a command, what happens for the server, everything when verbose.

    Args:
        verbose: Debug messages, of the libraries too.
        server: Add times, and messages of level INFO from this project and from uvicorn.
        level: The least that is logged, in place of what `server` says.
        form: Lines for people, or one JSON object a line.
        file: Gets the same lines; whoever moves it away, as logrotate does, finds a new one begun in its place.

    Raises:
        OSError: The file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if file is not None:
        from logging.handlers import WatchedFileHandler

        handlers.append(WatchedFileHandler(file, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(JsonLine() if form == "json" else SafeLine(_format(verbose, server)))
        if not verbose:
            handler.addFilter(_worth_showing)
    if not verbose:
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its milestones are said in one line of ours
    least = level.upper() if level else "INFO" if server else "WARNING"
    logging.basicConfig(level=logging.DEBUG if verbose else least, handlers=handlers, force=True)


def note_request(request_id: str) -> None:
    """Have what this task logs, and the threads that work for it, carry a request's id."""
    import asyncio  # here and below: commands start without it

    _request.set((request_id, asyncio.current_task()))


def request_id() -> str:
    """The id of the request that this code works for; empty outside one, and in a task that outlives it."""
    known, owner = _request.get()
    if not known:
        return ""
    import asyncio

    try:
        return known if asyncio.current_task() is owner else ""
    except RuntimeError:  # a thread, which was handed the context of the task that waits for it
        return known


class SafeLine(logging.Formatter):
    """One line a record, with a request's id at its end; a traceback's lines are set in."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, with control characters and what turns the direction of writing as escapes."""
        line = visible(super().formatMessage(record))
        return f"{line} [{asked}]" if (asked := request_id()) else line

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """The traceback, whose last lines may have foreign words in them."""
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's own name
        """As `formatException`."""
        return _set_in(super().formatStack(stack_info))


class JsonLine(logging.Formatter):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, logger, message; a request's id, a job's, and further facts where there are any."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if asked := request_id():
            line["request"] = asked
        line |= getattr(record, "facts", {})
        if record.exc_info and isinstance(record.exc_info[2], TracebackType | None):
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return json.dumps(line, default=str)


def _set_in(text: str) -> str:
    return "\n".join(f"  {visible(line)}" for line in text.split("\n"))


def _format(verbose: bool, server: bool) -> str:
    if verbose:
        return "%(asctime)s %(levelname)s %(name)s: %(message)s"
    return "%(asctime)s %(levelname)s: %(message)s" if server else "%(levelname)s: %(message)s"


def _worth_showing(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_OURS)
