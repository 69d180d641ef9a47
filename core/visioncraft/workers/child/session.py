"""A worker's life: a thread for each picture drawn at once, one that listens, one that says that all is well."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from visioncraft.errors import GenerationFailed, JobCancelled, VisionCraftError, to_plain
from visioncraft.logs import configure_logging
from visioncraft.plugins.contracts import Generator, checked
from visioncraft.workers.child.plugin import load
from visioncraft.workers.messages import (
    Cancel,
    Drawn,
    Failed,
    FromWorker,
    Heartbeat,
    Load,
    Loaded,
    Run,
    Serve,
    Setup,
    Stage,
    Step,
    Stop,
    frame,
    receive,
    to_worker,
)

log = logging.getLogger(__name__)


class Link:
    """The way to the server, for any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def receive(self) -> Any:
        """The server's next message. Raises `EOFError` when the server is gone."""
        return receive(self._connection, to_worker)

    def send(self, message: FromWorker) -> None:
        """Send one message. Raises `ProtocolError` for one that holds what is no plain data."""
        self.send_frame(frame(message))

    def send_frame(self, data: bytes) -> None:
        """Send a message that is framed already; a server that is gone ends this process."""
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError:
            os._exit(0)


class CallProgress:
    """The `Progress` of one call."""

    def __init__(self, link: Link, call: str) -> None:
        self._link = link
        self._call = call
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the server wants it to stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._cancelled.set()

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Report a step; raises `JobCancelled`."""
        self._check()
        self._link.send(Step(self._call, step, total, preview))

    def stage(self, name: str) -> None:
        """Report what goes on; raises `JobCancelled`."""
        self._check()
        self._link.send(Stage(self._call, name))

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise JobCancelled


class Session:
    """Takes work until the server ends it.

    Args:
        link: The way to the server.
        generator: Does the work.
        heartbeat_s: Seconds between two signs of life.
    """

    def __init__(self, link: Link, generator: Generator, heartbeat_s: float) -> None:
        self._link = link
        self._generator = generator
        self._heartbeat_s = heartbeat_s
        self._work: SimpleQueue[Run | Load | None] = SimpleQueue()
        self._calls: dict[str, CallProgress] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until the server says stop, then give everything back."""
        helpers = [self._start(self._draw, f"draw-{number}") for number in range(1, self._generator.concurrency)]
        self._start(self._listen, "listen")
        self._start(self._beat, "beat")
        self._draw()
        for helper in helpers:
            helper.join()
        self._ended.set()
        self._generator.close()

    def _start(self, work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _listen(self) -> None:
        while True:
            try:
                message = self._link.receive()
            except (EOFError, OSError, VisionCraftError):
                os._exit(0)  # the server is gone: nobody wants what is being drawn
            if isinstance(message, Run | Load):
                self._calls[message.call] = CallProgress(self._link, message.call)
                self._work.put(message)
            elif isinstance(message, Cancel) and (progress := self._calls.get(message.call)):
                progress.cancel()
            elif isinstance(message, Stop):
                for _ in range(self._generator.concurrency):
                    self._work.put(None)

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_s):
            self._tell_status()

    def _draw(self) -> None:
        while (task := self._work.get()) is not None:
            answer = self._answer(task, self._calls[task.call])
            del self._calls[task.call]
            self._tell_status()  # before the answer, so that whoever asks after it hears of the model
            self._link.send_frame(answer)

    def _answer(self, task: Run | Load, progress: CallProgress) -> bytes:
        """The framed answer; facts that are no plain data fail here, as the generator's own error."""
        try:
            if isinstance(task, Load):
                self._generator.load(task.model, progress)
                return frame(Loaded(task.call))
            return frame(Drawn(task.call, checked(self._generator.run(task.request, progress), self._generator.name)))
        except VisionCraftError as error:
            return frame(Failed(task.call, to_plain(error)))
        except Exception:
            log.exception("%s: generator '%s' failed", task.call, self._generator.name)
            reason = f"Generator '{self._generator.name}' failed; the server's log has {task.call}"
            return frame(Failed(task.call, to_plain(GenerationFailed(reason))))

    def _tell_status(self) -> None:
        try:
            self._link.send(Heartbeat(self._generator.status()))
        except Exception as error:  # a generator's own trouble must not silence the worker
            log.warning("generator '%s' gave no status: %s", self._generator.name, error)


def serve(connection: socket.socket) -> None:
    """Load the plugin that the server names, answer what it offers, then work for one of its generators."""
    link = Link(connection)
    setup: Setup = link.receive()
    _log_as(setup)
    try:
        generators, hello = load(setup)
    except VisionCraftError as error:
        link.send(Failed("", to_plain(error)))
        return
    link.send(hello)
    try:
        order: Serve = link.receive()
    except EOFError:  # the server only wanted to know
        return
    Session(link, generators[order.generator], order.heartbeat_s).run()


def _log_as(setup: Setup) -> None:
    """Log as the server does, into the same file."""
    configure_logging(setup.verbose, server=True)
    logs = setup.settings.get("logs", {})  # not validated yet: a server of another version is told so later
    file = Path(logs["file"]) if logs.get("file") else None
    try:
        configure_logging(setup.verbose, True, logs.get("level"), logs.get("format", "text"), file)
    except OSError as error:
        log.warning("%s cannot be written by a worker: %s", file, error.strerror)
