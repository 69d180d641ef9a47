"""What plugins answer: asked under a time limit, and looked at before anybody relies on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from visioncraft.api_keys import KeyService
from visioncraft.errors import PluginError, VisionCraftError
from visioncraft.plugins.contracts import Generator, ImageStore, KeyCheck
from visioncraft.types.identity import Authenticator
from visioncraft.types.models import ModelInfo

T = TypeVar("T")


class HookError(PluginError):
    """What the manager itself found wrong, told as it is."""


class Overdue(HookError):
    """A plugin that did not answer in time."""


def validate_hook_result(hook: str, answer: Any) -> list[Any]:
    """A hook's answer as a list of what the hook hands over, under names that can be used."""
    kind, naming = _HANDED_OVER.get(hook, (object, None))
    entries = list(answer)
    for entry in entries:
        if not isinstance(entry, kind):
            raise HookError(f"{hook} answered a {type(entry).__name__}, not a {kind.__name__}")
        if naming is not None and not (isinstance(name := getattr(entry, naming, None), str) and name):
            raise HookError(f"{hook} answered a {type(entry).__name__} whose {naming} is {name!r}, not a name")
    return entries


_HANDED_OVER: Mapping[str, tuple[type, str | None]] = {
    "visioncraft_generators": (Generator, "name"),
    "visioncraft_models": (ModelInfo, "id"),
    "visioncraft_stores": (ImageStore, "name"),
    "visioncraft_key_checks": (KeyCheck, "service"),
    "visioncraft_key_services": (KeyService, "id"),
    "visioncraft_commands": (object, "name"),
    "visioncraft_pools": (object, "name"),
    "visioncraft_ledgers": (object, "name"),
    "visioncraft_authenticators": (Authenticator, None),
}


def one_line(error: BaseException) -> str:
    """An error's kind and words in one line."""
    text = error.message if isinstance(error, VisionCraftError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}"


def call_with_timeout(seconds: float, call: Callable[[], Any], what: str) -> Any:
    """Run `call` in a thread of its own; past `seconds` it is left behind and `Overdue` is raised.

    What a plugin raises to end the process (`SystemExit`) ends its own call only.
    """
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name=f"hook-{what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Overdue(f"{what} did not answer within {seconds:g} s")
    if failure and not isinstance(failure[0], Exception):
        raise HookError(f"{what} raised {one_line(failure[0])}")
    if failure:
        raise failure[0]
    return outcome[0]


class Aside:
    """Asks plugins' plain functions in threads that nobody has to wait for, neither a caller nor the process' end.

    One that hangs takes one thread, however often it is asked: who asks meanwhile waits for the same answer.
    """

    def __init__(self) -> None:
        self._running: dict[str, Future[Any]] = {}

    async def ask(self, name: str, call: Callable[[], T]) -> T:
        """What `call` answers. Raises what it raises, `HookError` for what is raised to end the process.

        Args:
            name: Calls of one name are the same.
            call: What to ask.
        """
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = Future()
            running.set_running_or_notify_cancel()  # from now on it cannot be cancelled
            threading.Thread(target=_settle, args=(running, name, call), name=f"ask-{name}", daemon=True).start()
        answer: T = await asyncio.wrap_future(running)
        return answer


def _settle(answer: Future[Any], name: str, call: Callable[[], Any]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:
        answer.set_exception(error)
    except BaseException as error:
        answer.set_exception(HookError(f"{name} raised {one_line(error)}"))
