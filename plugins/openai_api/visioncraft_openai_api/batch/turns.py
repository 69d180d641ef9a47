"""How few lines wait at once: one for each model, of all batches together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Turn:
    """The right to have a line wait for a model. It ends when the line is drawn, or comes to nothing.

    Args:
        turns: Where it comes from.
        model: The model's name.
    """

    def __init__(self, turns: Turns, model: str) -> None:
        self._turns, self._model, self._ended = turns, model, False

    def end(self) -> None:
        """Let the next line wait. Once is enough."""
        if not self._ended:
            self._ended = True
            self._turns.free(self._model)


class Turns:
    """Hands out turns in the order in which they are asked for. All methods are called in one event loop."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._freed = asyncio.Event()

    async def take(self, model: str, halted: asyncio.Event) -> Turn | None:
        """Wait for a turn.

        Args:
            model: The model's name, as lines write it.
            halted: Ends the waiting.

        Returns:
            The turn; None where the waiting was ended.
        """
        while model in self._taken and not halted.is_set():
            await first_of(self._freed.wait(), halted.wait())
        if halted.is_set():
            return None
        self._taken.add(model)
        return Turn(self, model)

    def free(self, model: str) -> None:
        """A turn has ended."""
        self._taken.discard(model)
        self._freed.set()
        self._freed = asyncio.Event()


async def first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Wait until the first of several has ended; the others are given up.

    Args:
        works: What is waited for.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
