"""One worker process as the server sees it: calls go out, answers come back, and somebody watches over it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from visioncraft.environment import SECRETS
from visioncraft.errors import JobCancelled, PluginError, ProtocolError, VisionCraftError, WorkerLost, from_plain
from visioncraft.plugins.contracts import Progress
from visioncraft.settings import Settings, WorkersSettings
from visioncraft.types.status import BackendStatus
from visioncraft.workers.launch import launch, obituary, setup
from visioncraft.workers.messages import (
    Cancel,
    Drawn,
    Failed,
    FromWorker,
    Heartbeat,
    Hello,
    Load,
    Loaded,
    Run,
    Serve,
    Stage,
    Step,
    Stop,
    ToWorker,
    frame,
    read,
)

log = logging.getLogger(__name__)

_START_LIMIT_S = 120.0
_END_LIMIT_S = 3.0
_SHARE_OF_MEMORY = 0.9  # of the machine's, where settings name no bound


@dataclass(slots=True)
class _Call:
    progress: Progress
    answer: asyncio.Future[Any]


class WorkerProcess:
    """A running worker; `start` makes one."""

    def __init__(self, name: str, process: Process, streams: tuple[Any, Any], limits: WorkersSettings) -> None:
        self.status = BackendStatus(name)
        self.usable = True
        self._name, self._process, self._limits = name, process, limits
        self._reader, self._writer = streams
        self._calls: dict[str, _Call] = {}
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._moved_at = self._loop.time()
        self._bound = int(limits.memory_limit_gb * 2**30) or int(psutil.virtual_memory().total * _SHARE_OF_MEMORY)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, plugin: str, generator: str, settings: Settings) -> WorkerProcess:
        """Start a process for a plugin's generator. Raises what keeps the plugin from loading there, `WorkerLost`."""
        ours, theirs = socket.socketpair()
        with theirs:
            begin = launch(settings.interpreter(plugin), theirs, SECRETS.environment_for(plugin))
            try:
                process = await create_subprocess_exec(*begin.command, stdin=DEVNULL, **begin.options)
            except OSError as error:
                ours.close()
                raise WorkerLost(f"{begin.command[0]} cannot be started: {error.strerror}") from error
        worker = cls(generator, process, await asyncio.open_connection(sock=ours), settings.workers)
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                await worker._greet(plugin, generator, settings)
        except TimeoutError:
            worker._kill()
            raise PluginError(
                f"plugin '{plugin}' was not ready in its worker within {_START_LIMIT_S:g} s: it is imported and asked "
                f"there anew; `visioncraft plugins check {plugin}` tries it"
            ) from None
        except BaseException:
            worker._kill()
            raise
        worker._tasks = [asyncio.create_task(worker._listen()), asyncio.create_task(worker._watch())]
        log.info("%s draws in a process of its own (worker %d), which has started", generator, process.pid)
        return worker

    async def call(self, task: Run | Load, progress: Progress) -> Any:
        """Have it work. Raises what the generator raises, or `WorkerLost`; see `WorkerPool` on cancelling."""
        call = self._calls[task.call] = _Call(progress, self._loop.create_future())
        if len(self._calls) == 1:
            self._moved_at = self._loop.time()
        try:
            self._send(task)
            return await asyncio.shield(call.answer)
        except asyncio.CancelledError:
            self._send(Cancel(task.call))
            with suppress(VisionCraftError):
                await call.answer
            raise
        finally:
            del self._calls[task.call]
            self._moved_at = self._loop.time()

    async def end(self) -> None:
        """Let it end in order, at once where it does not."""
        self.usable = False
        if self._process.returncode is None:
            self._send(Stop())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _END_LIMIT_S)
        self._lose("was ended", logging.DEBUG)
        await self._process.wait()

    async def _greet(self, plugin: str, generator: str, settings: Settings) -> None:
        self._send(setup(plugin, settings))
        try:
            hello = await read(self._reader)
        except (EOFError, OSError):
            raise WorkerLost(await self._exit_reason()) from None
        if isinstance(hello, Failed):
            raise from_plain(hello.error)
        offers = {offer.name: offer for offer in hello.offers} if isinstance(hello, Hello) else {}
        if generator not in offers:
            raise ProtocolError(f"plugin '{plugin}' offers no generator '{generator}' in its worker")
        self._note(offers[generator].status)
        self._send(Serve(generator, self._limits.heartbeat_s))

    def _send(self, message: ToWorker) -> None:
        data = frame(message)
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _listen(self) -> None:
        try:
            while True:
                self._on_message(await read(self._reader))
        except ProtocolError as error:
            self._lose(f"sent garbage: {error.message}")
        except (EOFError, OSError):
            self._lose(await self._exit_reason())

    def _on_message(self, message: FromWorker) -> None:
        self._heard_at = self._loop.time()
        if isinstance(message, Heartbeat):
            self._note(message.status)
            return
        call = self._calls.get(getattr(message, "call", ""))
        if call is None:
            return
        self._moved_at = self._heard_at
        with suppress(JobCancelled):  # the worker has been told, or will be
            _deliver(message, call)

    def _note(self, status: BackendStatus) -> None:
        self.status = replace(status, facts={**status.facts, "worker_pid": self._process.pid})

    async def _watch(self) -> None:
        while self.usable:
            await asyncio.sleep(self._limits.heartbeat_s)
            if trouble := self._trouble():
                self._lose(trouble)
            elif not self._calls and 0 < self._limits.idle_unload_s < self._loop.time() - self._moved_at:
                log.info("worker %d of '%s' had nothing to do and leaves memory", self._process.pid, self._name)
                self.usable = False
                self._send(Stop())

    def _trouble(self) -> str | None:
        now, limits = self._loop.time(), self._limits
        if now - self._heard_at > limits.silent_limit_s:
            return f"gave no sign of life for {limits.silent_limit_s:g} s (workers.silent_limit_s)"
        if self._calls and now - self._moved_at > limits.stall_limit_s:
            return f"made no progress for {limits.stall_limit_s:g} s (workers.stall_limit_s)"
        with suppress(psutil.Error):
            held = psutil.Process(self._process.pid).memory_info().rss
            if held > self._bound:
                return f"grew to {held / 2**30:.1f} GB, past its bound of {self._bound / 2**30:.1f} GB"
        return None

    async def _exit_reason(self) -> str:
        """How the process ended; one that only closed its socket is ended first."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 1)
        code = self._process.returncode
        if code is None:
            return "closed its connection"
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return obituary(code) + hint

    def _lose(self, reason: str, level: int = logging.WARNING) -> None:
        self.usable = False
        self._kill()
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(WorkerLost(f"the worker of '{self._name}' {reason}"))
        if self._calls:
            log.log(level, "worker %d of '%s' %s", self._process.pid, self._name, reason)

    def _kill(self) -> None:
        self.usable = False
        self._writer.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()


def _deliver(message: FromWorker, call: _Call) -> None:
    if isinstance(message, Step):
        call.progress.step(message.step, message.total, message.preview)
    elif isinstance(message, Stage):
        call.progress.stage(message.name)
    elif not call.answer.done():
        if isinstance(message, Drawn):
            call.answer.set_result(message.image)
        elif isinstance(message, Loaded):
            call.answer.set_result(None)
        elif isinstance(message, Failed):
            call.answer.set_exception(from_plain(message.error))
