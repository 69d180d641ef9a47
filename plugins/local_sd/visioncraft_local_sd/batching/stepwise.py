"""Somebody else's loop, taken one step at a time: it goes on only while somebody waits for it.

diffusers' pipelines own their loops and call back after each step. A pipeline runs in a thread that stands still
between two steps, so that the engine's one thread decides who computes, as for everybody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch

P = TypeVar("P")
R = TypeVar("R")


class Stepwise(Generic[P, R]):
    """A call that pauses; as a `Batchable` it takes a turn for each step, and shares none.

    Args:
        work: The call. It is handed a function to pause with, which takes what is told meanwhile.
        ready: Called before each step, in the thread that waits for it.
    """

    def __init__(self, work: Callable[[Callable[[P], None]], R], ready: Callable[[], None]) -> None:
        self._work, self._ready = work, ready
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._told: list[P] = []
        self._error: BaseException | None = None
        self.results: list[R] = []
        """What the call returned, once it has."""

    @property
    def key(self) -> Hashable:
        """Its own."""
        return id(self)

    @property
    def weight(self) -> int:
        """One image's."""
        return 1

    @property
    def bound(self) -> int:
        """One goes alone."""
        return 1

    def together(self, calls: Sequence[Stepwise[P, R]]) -> Sequence[P | None]:
        """Take the next step of each."""
        return [call.step() for call in calls]

    def crowded(self, weight: int, error: Exception) -> None:
        """Never more than one."""

    def step(self) -> P | None:
        """Let the call go on to its next pause, and answer what it told; None where it has ended."""
        self._ready()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
            self._thread.start()
        self._go.release()
        self._stands.acquire()
        error, self._error = self._error, None  # a traceback holds tensors: nothing here may outlive it
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._told.pop() if self._told else None

    def close(self) -> None:
        """End a call that stands still, and wait until it has given up what it held."""
        self._stopped = True
        if self._thread is not None:
            self._go.release()
            self._thread.join()

    def _run(self) -> None:
        self._go.acquire()
        try:
            with torch.inference_mode():
                self.results.append(self._work(self._pause))
        except _StoppedError:
            pass
        except BaseException as error:
            self._error = error
        self._stands.release()

    def _pause(self, told: P) -> None:
        self._told.append(told)
        self._stands.release()
        self._go.acquire()
        if self._stopped:
            raise _StoppedError


class _StoppedError(BaseException):
    """Ends somebody else's loop; no `Exception`, which it might handle."""
