"""Where generators run: in worker processes, in this one, or wherever a plugin's pool has them run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from visioncraft.plugins.contracts import Generator, Progress
from visioncraft.types.generation import GeneratedImage, GenerationRequest
from visioncraft.types.models import ModelInfo
from visioncraft.types.status import BackendStatus


class WorkerPool(Protocol):
    """Runs generators' work and comes back with the answer.

    Generators are named, requests and answers are plain data, and lost work is the caller's to submit again, so that
    workers may as well be on other machines. All methods are called in one event loop.

    Cancelling the task that awaits `run` or `load` stops the work; the task ends once the work has stopped.
    """

    def capacity(self, generator: str) -> int:
        """How many images of a generator the pool draws at once, at the moment; it is asked whenever a job may start.

        Where it is 0 one job is handed over all the same: it waits in the pool for a worker.
        """

    async def run(self, generator: str, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one image. Raises what the generator raises, and `WorkerLost` where the worker is gone.

        `progress` is called in this event loop.
        """

    async def load(self, generator: str, model: ModelInfo, progress: Progress) -> None:
        """Bring a model into memory. Raises as `run` does."""

    async def status(self, generator: str) -> BackendStatus:
        """Where a generator stands, as last heard; one that was not heard of yet is asked. Raises what it raises."""

    async def close(self) -> None:
        """Stop what runs and give everything back."""


@dataclass(frozen=True, slots=True)
class HostedGenerator:
    """A generator and where it comes from: what a pool needs to have it run.

    Args:
        plugin: The entry point that brings it; a worker loads that plugin and takes the generator of the same name.
        generator: Its description in this process. A pool of this process may let it draw; others only ask what it is.
    """

    plugin: str
    generator: Generator


@dataclass(frozen=True, slots=True)
class PoolFactory:
    """A pool that settings can select.

    Args:
        name: What `[workers] pool` calls it.
        make: Makes the pool for these generators, by their names. It is called once, before the event loop runs, so
            whatever the pool connects to it connects to when it is first asked to work.
    """

    name: str
    make: Callable[[Mapping[str, HostedGenerator]], WorkerPool]


def capacity_of(pool: WorkerPool, generator: Generator) -> int:
    """How many images of a generator a pool may be handed at once, at least one.

    A pool that does not say gets as many as the generator takes.
    """
    capacity = getattr(pool, "capacity", None)
    return max(1, generator.concurrency if capacity is None else capacity(generator.name))
