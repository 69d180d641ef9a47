"""A plugin in an environment of its own: `[plugins.config.<name>] python = "…/bin/python"`.

Nothing of it is imported here. A process of that environment describes it, and the server serves by the description;
its pictures are drawn by a worker of the same environment, as any other generator's are.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visioncraft.api_keys import KeyService
from visioncraft.environment import SECRETS
from visioncraft.errors import PluginError, VisionCraftError, from_plain
from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.settings import Settings
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus
from visioncraft.workers.launch import launch, setup
from visioncraft.workers.messages import Failed, Hello, Offer, frame, from_worker, receive

log = logging.getLogger(__name__)

_FRESH_S = 10.0  # models come and go while the server runs, and asking takes half a second


class IsolatedPlugin:
    """The plugin object that stands for one of another environment.

    Raises `PluginError` where the environment or the plugin in it cannot be used.
    """

    def __init__(self, name: str, python: Path, settings: Settings) -> None:
        self._name, self._python, self._settings = name, python, settings
        self._asked_at = 0.0
        self.hello = self._ask()
        self.distribution, self.version = self.hello.distribution, self.hello.version

    @hookimpl
    def visioncraft_generators(self) -> Sequence[Generator]:
        """Its generators, by description."""
        return [RemoteGenerator(self, offer) for offer in self.hello.offers]

    @hookimpl
    def visioncraft_models(self) -> Sequence[ModelInfo]:
        """The models it lists for other plugins' engines."""
        return self.refreshed().models

    @hookimpl
    def visioncraft_key_services(self) -> Sequence[KeyService]:
        """The cloud services whose keys it needs."""
        return self.hello.services

    def refreshed(self) -> Hello:
        """The description, asked for again when it is old; the last one where that fails."""
        if time.monotonic() - self._asked_at > _FRESH_S:
            try:
                self.hello = self._ask()
            except PluginError as error:
                log.warning("%s", error.message)
        return self.hello

    def _ask(self) -> Hello:
        self._asked_at = time.monotonic()
        try:
            message = describe(self._python, self._name, self._settings)
        except (OSError, EOFError, VisionCraftError) as error:
            raise PluginError(
                f"plugin '{self._name}' cannot be described by {self._python}: "
                f"{error or 'it ended without a word'}; install visioncraft and the plugin there"
            ) from error
        if isinstance(message, Failed):
            raise PluginError(f"{self._python}: {from_plain(message.error).message}")
        return message


class RemoteGenerator(Generator):
    """A generator that lives elsewhere."""

    name = ""

    def __init__(self, plugin: IsolatedPlugin, offer: Offer) -> None:
        self._plugin, self._offer = plugin, offer
        vars(self)["name"] = offer.name
        vars(self)["engines"] = offer.engines
        self.concurrency = offer.concurrency

    def models(self) -> Sequence[ModelInfo]:
        for offer in self._plugin.refreshed().offers:
            if offer.name == self.name:
                return offer.models
        return []

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        raise PluginError(f"generator '{self.name}' draws in its own environment only")

    def status(self) -> BackendStatus:
        return self._offer.status


def describe(python: Path, plugin: str, settings: Settings) -> Hello | Failed:
    """Ask a process of another environment what a plugin there offers.

    Raises `OSError`, `EOFError` and `ProtocolError`.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            start = launch(python, theirs, SECRETS.environment_for_trial())
            process = subprocess.Popen(start.command, stdin=subprocess.DEVNULL, **start.options)  # noqa: S603
        try:
            ours.settimeout(settings.plugins.hook_timeout_s)
            ours.sendall(frame(setup(plugin, settings)))
            answer: Any = receive(ours, from_worker)
        finally:
            process.kill()
            process.wait()
    if not isinstance(answer, Hello | Failed):
        raise EOFError
    return answer
