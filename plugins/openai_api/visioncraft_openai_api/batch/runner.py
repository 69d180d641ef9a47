"""All batches that go on, from the server's start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat

from fastapi import FastAPI
from visioncraft import InvalidRequest, StorageUnavailable

from visioncraft_openai_api.batch.batches import Batch, Status
from visioncraft_openai_api.batch.desk import Desk
from visioncraft_openai_api.batch.owners import act_for
from visioncraft_openai_api.batch.run import Run

log = logging.getLogger(__name__)

_UPKEEP_EVERY_S = 600.0
_AGAIN_S = 10.0  # after trouble with the disk


class Runner:
    """Runs batches side by side. All methods are called in one event loop.

    Args:
        desk: What every batch works with.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def living(self, app: FastAPI) -> AsyncIterator[None]:
        """Go on where an earlier server was, until this one ends.

        Args:
            app: The server.
        """
        self._desk.app = app
        begun = await self._looked_after(begins=True)
        upkeep = asyncio.create_task(self._upkeep(begun))
        try:
            yield
        finally:
            tasks = [upkeep, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.database.close()

    def begin(self, batch_id: str) -> None:
        """Run a batch that was accepted."""
        if batch_id not in self._tasks:
            task = self._tasks[batch_id] = asyncio.create_task(self._go(batch_id), name=batch_id)
            task.add_done_callback(lambda _: self._tasks.pop(batch_id, None))

    async def cancel(self, batch_id: str) -> Batch:
        """Have nothing further of a batch drawn.

        Args:
            batch_id: The batch; one that is being cancelled or handed over already stays as it is.

        Raises:
            InvalidRequest: It has ended.
            NotFound: There is none of that id.
        """
        batch = await self._desk.batches.get(batch_id)
        if batch.ended:
            issue = f"this batch is {batch.status.value}; only one that goes on can be cancelled"
            raise InvalidRequest.of("batch_id", issue)
        since = (Status.VALIDATING, Status.IN_PROGRESS)
        batch = await self._desk.batches.move(batch, Status.CANCELLING, since)
        if batch.status is Status.CANCELLING and batch_id in self._runs:
            self._runs[batch_id].halt()
        return batch

    async def _go(self, batch_id: str) -> None:
        """Run a batch to its end, again where the disk would not have it."""
        for pause_s in repeat(_AGAIN_S):
            if await self._has_ended(batch_id):
                return
            await asyncio.sleep(pause_s)

    async def _has_ended(self, batch_id: str) -> bool:
        """Run a batch from where it stands; whether it came to its end."""
        try:
            act_for(None)
            batch = await self._desk.batches.get(batch_id)
            if not batch.ended:
                act_for(batch.identity)
                run = self._runs[batch_id] = Run(self._desk, batch)
                await run.go()
        except StorageUnavailable as error:
            log.warning("%s stands still: %s; it goes on when that is mended", batch_id, error.message)
            return False
        except Exception:
            log.exception("%s stands still; it is tried again", batch_id)
            return False
        finally:
            self._runs.pop(batch_id, None)
        return True

    async def _upkeep(self, begun: bool) -> None:
        while True:
            await asyncio.sleep(_UPKEEP_EVERY_S if begun else _AGAIN_S)
            begun = await self._looked_after()

    async def _looked_after(self, begins: bool = False) -> bool:
        """Remove files whose time is over, and run every batch that goes on. False where the disk would not."""
        try:
            if not await asyncio.to_thread(self._desk.database.exists):
                return True
            await asyncio.to_thread(self._desk.files.make_folders)
            if begins:
                await self._desk.files.remove_strays()
            await self._desk.files.sweep()
            for batch in await self._desk.batches.unfinished():
                self.begin(batch.id)
        except (StorageUnavailable, OSError) as error:
            log.warning("files and batches cannot be looked after: %s; it is tried again", error)
            return False
        return True
