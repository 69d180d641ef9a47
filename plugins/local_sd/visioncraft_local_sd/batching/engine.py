"""One thread that computes for all who ask; denoiser calls that can be shared are.

One thread, because OpenMP keeps a pool of its own for each thread that computes: with a second one on the same cores
every operation of either waits for the system to wake somebody (17 ms more a denoiser call were measured on 2 cores).
On CUDA it is the same one for the next picture, because torch keeps cuDNN's plans for each thread: a new one took 0.8 s
to plan the convolutions of SD 1.5 on an H100. On a CPU it ends, and gives back the memory that it computed in.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable, Sequence
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar, cast

from visioncraft_local_sd.batching.threads import Threads

_LINGER_S = 600.0

T = TypeVar("T")
Work = Generator["Batchable", Any, T]
"""What a request has computed: it yields each call that it may share, and is sent that call's answer."""


class Batchable(Protocol):
    """A call that can be made together with others of the same key."""

    @property
    def key(self) -> Hashable:
        """Equal for calls that can be one."""

    @property
    def weight(self) -> int:
        """What it counts towards `bound`."""

    @property
    def bound(self) -> int:
        """How much of this key goes together; one call does, whatever it weighs."""

    def together(self, calls: Sequence[Any]) -> Sequence[Any]:
        """Make calls of one key, this one among them; answers in their order."""

    def crowded(self, weight: int, error: Exception) -> None:
        """So much together failed."""


class _Task(Generic[T]):
    """A request's work, and where its thread waits for it."""

    def __init__(self, work: Work[T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._answer: T | None = None
        self._error: BaseException | None = None

    def go_on(self, answer: Any = None, error: Exception | None = None) -> Batchable | None:
        """Let the work have an answer, or an error in its place: the next call it wants, None when it has ended."""
        try:
            return self._work.throw(error) if error is not None else self._work.send(answer)
        except StopIteration as stop:
            self._answer = stop.value
        except BaseException as failure:
            self._error = failure
        self._done.set()
        return None

    def result(self) -> T:
        """Wait for the end, and answer or raise what the work did."""
        self._done.wait()
        error, self._error = self._error, None  # a traceback holds tensors: nothing here may outlive it
        if error is None:
            return cast(T, self._answer)
        try:
            raise error
        finally:
            del error


_Waiting = tuple[_Task[Any], Batchable]


class Engine:
    """Computes for several threads, one step at a time. The thread that computes lives while there is work.

    A request joins at the next step and leaves when it is done. Fair: each key has a step in turn, and within a key
    that has more calls than fit together those that waited longest go first. An error in one request's work ends that
    request alone; where a shared call fails, each of its requests is tried on its own.

    Args:
        threads: Processor threads that a CPU computes with; 0 to find the number while computing, unless
            `OMP_NUM_THREADS` names one.
    """

    def __init__(self, threads: int = 0) -> None:
        self._asked = threads
        self.threads: Threads | None = None
        """How many are in use; None until there was something to compute."""
        self._in_use = 0  # as torch was told in the thread that computes
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._running = self._closed = False
        self.lingers = False
        """Whether the thread waits for more when its work is done, as it does where a GPU computes."""
        self._arrived: deque[_Task[Any]] = deque()
        self._waiting: OrderedDict[Hashable, list[_Waiting]] = OrderedDict()  # the key whose turn is next first

    def run(self, work: Work[T]) -> T:
        """Have it computed; answers what it returns, raises what it raises."""
        task = _Task(work)
        with self._lock:
            self._arrived.append(task)
            self._came.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._compute, name="engine", daemon=True).start()
        return task.result()

    def call(self, function: Callable[[], T]) -> T:
        """Have a plain function computed, between two steps of whatever else goes on."""
        return self.run(_once(function))

    def threads_in_use(self) -> dict[str, int]:
        """For a status: how many processor threads compute and how many there are, once a CPU computes."""
        threads = self.threads
        return {} if threads is None or self.lingers else {"threads": threads.count, "most_threads": threads.most}

    def settled_threads(self) -> int | None:
        """How many processor threads compute; None while other numbers are tried."""
        return self.threads.settled if self.threads is not None else 0

    def close(self) -> None:
        """Let the thread end when its work is done; whoever comes later starts another one."""
        with self._lock:
            self._closed = True
            self._came.notify()

    def _compute(self) -> None:
        import torch

        if self.threads is None:
            chosen = self._asked == 0 and "OMP_NUM_THREADS" not in os.environ
            self.threads = Threads(self._asked or torch.get_num_threads(), chosen)
        self._in_use = 0
        self._use(self.threads.count)
        with torch.inference_mode():
            while self._turn() or self._more():
                pass

    def _more(self) -> bool:
        """Wait for work; False where the thread is to end."""
        with self._lock:
            self._came.wait_for(lambda: self._arrived or self._closed, _LINGER_S if self.lingers else 0.0)
            self._running, self._closed = bool(self._arrived), False
            return self._running

    def _turn(self) -> bool:
        """What needs no step, then one step of the key whose turn it is; False when nothing is left to do."""
        with self._lock:
            if not self._arrived and not self._waiting:
                return False
            arrived = [self._arrived.popleft() for _ in range(len(self._arrived))]
        while arrived:
            self._go_on(arrived.pop(0))
        if self._waiting:
            self._step()
        return True

    def _step(self) -> None:
        key, waiting = self._waiting.popitem(last=False)
        # One alone goes whatever the bound is, and a bound that is not proven asks how much memory is free.
        count = _fitting([call.weight for _, call in waiting], waiting[0][1].bound) if len(waiting) > 1 else 1
        if waiting[count:]:
            self._waiting[key] = waiting[count:]
        self._share(waiting[:count])

    def _share(self, turns: list[_Waiting]) -> None:
        """One call for all of them; where that fails, each on its own."""
        calls = [call for _, call in turns]
        try:
            answers = self._timed(calls)
        except Exception as error:
            if len(turns) == 1:
                self._go_on(turns[0][0], error=error)
                return
            calls[0].crowded(sum(call.weight for call in calls), error)
        else:
            for (task, _), answer in zip(turns, answers, strict=True):
                self._go_on(task, answer)
            return
        for turn in turns:  # out here the error is gone, and with it the frames that held its tensors
            self._share([turn])

    def _timed(self, calls: Sequence[Batchable]) -> Sequence[Any]:
        """One call for all of them, with as many threads as are fastest."""
        if self.threads is None or self.lingers:
            return calls[0].together(calls)
        kind = (calls[0].key, sum(call.weight for call in calls))
        self._use(self.threads.of(kind))
        began = time.perf_counter()
        answers = calls[0].together(calls)
        self.threads.took(kind, time.perf_counter() - began)
        self._use(self.threads.count)
        return answers

    def _use(self, threads: int) -> None:
        import torch

        if threads != self._in_use:
            torch.set_num_threads(threads)
            self._in_use = threads

    def _go_on(self, task: _Task[Any], answer: Any = None, error: Exception | None = None) -> None:
        call = task.go_on(answer, error)
        if call is not None:
            self._waiting.setdefault(call.key, []).append((task, call))


def _fitting(weights: Sequence[int], bound: int) -> int:
    """How many of them, from the first on, are within the bound; one at least."""
    return max(1, sum(total <= bound for total in accumulate(weights)))


def _once(function: Callable[[], T]) -> Work[T]:
    return function()
    yield  # makes it a coroutine
