"""One batch, from the reading of its file to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path

from visioncraft import StorageUnavailable

from visioncraft_openai_api.batch.answering import ComeBack, Withdrawn, answered
from visioncraft_openai_api.batch.batches import UNFINISHED, Batch, Status
from visioncraft_openai_api.batch.desk import Desk
from visioncraft_openai_api.batch.lines import MOST_LINES, BadLine, Line, read_lines
from visioncraft_openai_api.batch.outputs import Part, append, no_answer, of_bad_line
from visioncraft_openai_api.batch.turns import Turn, first_of

log = logging.getLogger(__name__)

_PAGE = 100  # lines that are looked up at once
_PAUSES_S = (1.0, 2.0, 5.0, 15.0, 30.0)  # between tries to write down what was drawn, on a disk that takes nothing
_WHY = {
    Status.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    Status.CANCELLED: ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


class Run:
    """A batch that goes on. All methods are called in one event loop.

    Args:
        desk: What every batch works with.
        batch: The batch as the database has it.
    """

    def __init__(self, desk: Desk, batch: Batch) -> None:
        self._desk, self._batch = desk, batch
        self._halted = asyncio.Event()
        self._lines: dict[int, asyncio.Task[None]] = {}
        self._after = 0  # the number of the last line that was looked up
        self._put_back = False  # whether a line before that waits again
        self._not_before = 0.0  # on the clock of the loop, where nothing can be drawn now
        self._sizes = {True: batch.output_bytes, False: batch.error_bytes}
        self._writing = asyncio.Lock()

    def halt(self) -> None:
        """Have nothing further drawn; what is being drawn comes to its end."""
        self._halted.set()

    async def go(self) -> None:
        """Go on from where it stands to its end. Raises `StorageUnavailable`, and may be called again on a new one."""
        left_s = max(0.0, self._batch.expires_at - time.time())
        expiry = asyncio.get_running_loop().call_later(left_s, self.halt)
        try:
            if self._batch.status is Status.VALIDATING and not await self._read():
                return
            if self._batch.status is Status.CANCELLING:
                self.halt()
            if self._batch.status is not Status.FINALIZING:
                await self._draw()
            await self._end()
        except OSError as error:
            said = f"Files of batches cannot be used: {error.strerror}; see to the server's disk"
            raise StorageUnavailable(said) from error
        finally:
            expiry.cancel()
            await self._give_up()

    async def _read(self) -> bool:
        """Read the file. False where nothing of it is a request, and the batch has failed."""
        lines, bad = await asyncio.to_thread(self._checked)
        if len(lines) + len(bad) > MOST_LINES or not lines:
            await self._desk.batches.end(self._batch, Status.FAILED, self._desk.keep_s, self._refused(lines, bad))
            log.info("%s: refused, %d of its lines are requests", self._batch.id, len(lines))
            return False
        told = b"".join(of_bad_line(each) for each in bad)
        size = await asyncio.to_thread(append, self._path(good=False), 0, [told]) if bad else 0
        self._batch = await self._desk.batches.begin(self._batch, lines, bad, size)
        self._sizes[False] = size
        log.info("%s: begins with %d lines, %d more are no requests", self._batch.id, len(lines), len(bad))
        return True

    def _checked(self) -> tuple[list[Line], list[BadLine]]:
        lines: list[Line] = []
        bad: list[BadLine] = []
        for each in read_lines(self._desk.files.path(self._batch.input_file_id), self._batch.endpoint):
            if isinstance(each, Line):
                lines.append(each)
            else:
                bad.append(each)
            if len(lines) + len(bad) > MOST_LINES:
                break
        return lines, bad

    def _refused(self, lines: Sequence[Line], bad: Sequence[BadLine]) -> Sequence[BadLine]:
        if len(lines) + len(bad) > MOST_LINES:
            said = f"at most {MOST_LINES} requests in one file; split it"
            return [BadLine(MOST_LINES + 1, None, "too_many_requests", said)]
        return bad or [BadLine(1, None, "empty_file", "The file has no requests")]

    async def _draw(self) -> None:
        """Have every line drawn, until there are no more or the batch is halted."""
        for line in await self._desk.batches.sent(self._batch):
            self._begin(line, None)
        while not self._halted.is_set():
            lines = await self._desk.batches.waiting(self._batch, self._after, _PAGE)
            for line in lines:
                await self._begin_in_turn(line)
            if lines:
                self._after = lines[-1].number
            elif self._put_back:  # from the first one again
                self._after, self._put_back = 0, False
            elif self._lines:
                await first_of(self._halted.wait(), _one_of(list(self._lines.values())))
            else:
                break
        while self._lines:
            await asyncio.wait(list(self._lines.values()))

    async def _begin_in_turn(self, line: Line) -> None:
        """Have a line drawn once it may wait in the queue, unless the batch is halted first."""
        if line.number in self._lines:  # it is being sent
            return
        turn = await self._desk.turns.take(line.model, self._halted)
        pause_s = self._not_before - asyncio.get_running_loop().time()
        if turn is not None and pause_s > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._halted.wait(), pause_s)
        if turn is not None:
            self._begin(line, turn)

    def _begin(self, line: Line, turn: Turn | None) -> None:
        task = self._lines[line.number] = asyncio.create_task(self._line(line, turn))
        task.add_done_callback(lambda _: self._lines.pop(line.number, None))

    async def _line(self, line: Line, turn: Turn | None) -> None:
        try:
            await _insisted(partial(self._answer, line, turn))
        except Withdrawn:
            pass  # it is told of at the end
        except ComeBack as later:
            self._not_before = asyncio.get_running_loop().time() + later.seconds
            await _insisted(partial(self._desk.batches.put_back, self._batch, line))
            self._put_back = True
        except Exception:
            log.exception("%s: line %d failed", self._batch.id, line.number)
            told = no_answer(line.custom_id, "server_error", "The request failed here; the server's log says more")
            await _insisted(partial(self._write, [line], False, [told]))
        finally:
            if turn is not None:
                turn.end()

    async def _answer(self, line: Line, turn: Turn | None) -> None:
        """Have a line drawn, and write its answer down. Done again it draws nothing that is drawn already."""
        good, parts = await answered(self._desk, self._batch, line, turn, self._halted)
        await self._write([line], good, parts)

    async def _write(self, lines: Sequence[Line], good: bool, parts: Sequence[Part]) -> None:
        async with self._writing:
            size = await asyncio.to_thread(append, self._path(good), self._sizes[good], parts)
            await self._desk.batches.note_answers(self._batch, lines, good, size)
            self._sizes[good] = size

    async def _end(self) -> None:
        """Tell of the lines that were not drawn, and hand over what was written."""
        cancelled = (await self._desk.batches.get(self._batch.id)).status is Status.CANCELLING
        left = await self._desk.batches.unanswered(self._batch)
        end = Status.CANCELLED if cancelled else Status.EXPIRED if left else Status.COMPLETED
        if not cancelled:
            since = tuple(UNFINISHED - {Status.FINALIZING})
            await self._desk.batches.move(self._batch, Status.FINALIZING, since)
        if left:
            told = b"".join(no_answer(line.custom_id, *_WHY[end]) for line in left)
            await self._write(left, False, [told])
        await self._desk.batches.end(self._batch, end, self._desk.lifetime_s(self._batch))
        await self._desk.files.sweep()
        log.info("%s: %s, %d lines were not drawn", self._batch.id, end.value, len(left))

    def _path(self, good: bool) -> Path:
        return self._desk.files.path(self._batch.output_file_id if good else self._batch.error_file_id)

    async def _give_up(self) -> None:
        """Stop what goes on, for the next start or another try."""
        tasks = list(self._lines.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _insisted(work: Callable[[], Awaitable[None]]) -> None:
    """Do something that a disk has to take, however long it takes nothing."""
    for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
        try:
            await work()
            return
        except (OSError, StorageUnavailable) as error:
            log.warning("what was drawn cannot be written down yet: %s; it is tried again in %g s", error, pause_s)
            await asyncio.sleep(pause_s)
