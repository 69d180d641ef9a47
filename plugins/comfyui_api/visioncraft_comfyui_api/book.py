"""All prompts that are remembered, in the queue and in history; changed in the event loop alone."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from visioncraft_comfyui_api.prompts import Prompt, State
from visioncraft_comfyui_api.store import Store

log = logging.getLogger(__name__)


class Book:
    """The prompts.

    Args:
        store: Where they outlive the server.
        most: How many ended ones are remembered at most.
        keep_s: For how long, in seconds: as long as the server remembers their jobs.
    """

    def __init__(self, store: Store, most: int, keep_s: float) -> None:
        self._store, self._most, self._keep_s = store, most, keep_s
        self._prompts: dict[str, Prompt] = {each.id: each for each in store.prompts()}
        self._last = max((abs(each.number) for each in self._prompts.values()), default=-1)

    def unfinished(self) -> list[Prompt]:
        """Those that wait or run."""
        return [each for each in self._prompts.values() if not each.over]

    def all(self) -> list[Prompt]:
        """All of them, in the order of their coming."""
        return list(self._prompts.values())

    def history(self) -> list[Prompt]:
        """Those that history has, in the order of their ends."""
        return sorted((each for each in self._prompts.values() if each.in_history), key=lambda each: each.ended or 0)

    def get(self, prompt_id: str) -> Prompt | None:
        """One of them."""
        return self._prompts.get(prompt_id)

    def next_number(self) -> int:
        """A number that no prompt has."""
        self._last += 1
        return self._last

    def status(self) -> dict[str, Any]:
        """How many are left, as sockets are told."""
        return {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": len(self.unfinished())}}}}

    async def add(self, prompt: Prompt, document: str) -> None:
        """A prompt has been accepted."""
        self._prompts[prompt.id] = prompt
        await self._keep(self._store.add, prompt, document)
        await self._forget_old()

    def started(self, prompt: Prompt) -> None:
        """A prompt runs."""
        prompt.state, prompt.started = "in_progress", time.time()

    def ended(self, prompt: Prompt, state: State) -> None:
        """A prompt has ended: it is in history and no longer in the queue."""
        prompt.state, prompt.ended = state, time.time()

    async def save(self, prompt: Prompt) -> None:
        """Have what is known of it outlive the server."""
        await self._keep(self._store.update, prompt)

    async def documents(self, prompts: Sequence[Prompt]) -> dict[str, dict[str, Any]]:
        """The graphs of prompts, with what came with them."""
        return await asyncio.to_thread(self._store.documents, [each.id for each in prompts])

    async def name(self, kind: str, subfolder: str, beginning: str, image_ids: Sequence[str]) -> list[str]:
        """Names for the files of these images."""
        return await asyncio.to_thread(self._store.name, kind, subfolder, beginning, image_ids)

    async def forget(self, prompts: Sequence[Prompt]) -> None:
        """Remember these no longer."""
        for each in prompts:
            self._prompts.pop(each.id, None)
        await self._keep(self._store.forget, [each.id for each in prompts])

    async def _keep(self, write: Callable[..., None], *values: Any) -> None:
        """Write it down; where the disk takes nothing the prompt goes on all the same, until the server ends."""
        try:
            await asyncio.to_thread(write, *values)
        except (sqlite3.Error, OSError) as error:
            log.warning("prompts cannot be kept, and are forgotten with the server's end: %s", error)

    async def _forget_old(self) -> None:
        ended = sorted((each for each in self._prompts.values() if each.over), key=lambda each: each.ended or 0)
        oldest = time.time() - self._keep_s
        surplus = max(0, len(ended) - self._most)
        gone = ended[:surplus] + [each for each in ended[surplus:] if (each.ended or 0) < oldest]
        if gone:
            await self.forget(gone)
