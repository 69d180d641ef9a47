"""All decoding processes of a server, and those who wait for one."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

from visioncraft.decoding.process import Decoder
from visioncraft.decoding.tasks import (
    Answer,
    Check,
    Copy,
    Fit,
    Inspect,
    Inspected,
    Look,
    Looked,
    Made,
    Refused,
    Shrink,
    Task,
)
from visioncraft.errors import RateLimitExceeded, ServiceUnavailable, StorageError
from visioncraft.images.inputs import Sent
from visioncraft.images.pixels import NoPicture, TooMuch, Use
from visioncraft.settings import PicturesSettings
from visioncraft.types.editing import ImageFacts, InputImage

_Work = tuple[Task, "Future[Answer]"]
AnswerT = TypeVar("AnswerT", Looked, Inspected, Made)

_SHARE_OF_THE_LAST = 0.3  # how much the newest picture counts in what one takes
_END_LIMIT_S = 5.0


class Decoders:
    """Decodes pictures in a few processes, started when one is needed and ended when none came for a while.

    A thread waits for each process, and nobody else does: requests wait in the event loop. `thumbnail`, `as_png` and
    `check_png` are for stores, which are called in threads.

    Args:
        bounds: `[pictures]`: how many processes, and what one picture may take; None for the defaults.
    """

    def __init__(self, bounds: PicturesSettings | None = None) -> None:
        self._bounds = bounds or PicturesSettings()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._changing = Lock()
        self._decoders: dict[Thread, Decoder] = {}
        self._pending = 0  # pictures that wait or are decoded
        self._usual_s = 0.0  # what one took, of late
        self._closed = False

    async def look(self, sent: Sent) -> tuple[int, int]:
        """Width and height of a picture, upright. Raises `InvalidRequest` that names its field; else as `prepare`."""
        found = await self._for_request(sent, Look(sent.data), Looked)
        return found.width, found.height

    async def inspect(self, sent: Sent) -> ImageFacts:
        """The size of a picture, upright, and the texts in its file. Raises as `look`."""
        found = await self._for_request(sent, Inspect(sent.data), Inspected)
        return ImageFacts(found.width, found.height, found.texts)

    async def prepare(self, sent: Sent, width: int, height: int, use: Use) -> InputImage:
        """A picture at the size it is used at.

        Raises `InvalidRequest` that names its field for what is no picture or takes too much to decode, and
        `RateLimitExceeded` where others have been waiting so long that its turn does not come.
        """
        made = await self._for_request(sent, Fit(sent.data, width, height, use, sent.reading, sent.fit), Made)
        return sent.as_image(width, height, made.data)

    def thumbnail(self, content: bytes, side: int) -> bytes | None:
        """A WebP of at most `side` pixels a side; None where making one takes too much.

        Raises `StorageError` for what is no whole picture.
        """
        try:
            return _waited(self._submit(Shrink(content, side)), Made).data
        except TooMuch:
            return None
        except NoPicture as error:
            raise StorageError(_sentence(error)) from error

    def as_png(self, content: bytes) -> tuple[bytes, int, int]:
        """A PNG, JPEG or WebP file as an upright PNG, its width and its height. Raises `StorageError`."""
        try:
            made = _waited(self._submit(Copy(content)), Made)
        except NoPicture as error:
            raise StorageError(_sentence(error)) from error
        return made.data, made.width, made.height

    def check_png(self, png: bytes) -> tuple[int, int]:
        """Width and height of a PNG that is whole. Raises `StorageError` for any other."""
        try:
            found = _waited(self._submit(Check(png)), Looked)
        except NoPicture as error:
            raise StorageError(_sentence(error)) from error
        return found.width, found.height

    def close(self) -> None:
        """End every process, and with it what it is at."""
        with self._changing:
            self._closed = True
            decoders = dict(self._decoders)
        for thread, decoder in decoders.items():
            self._work.put(None)
            decoder.end()
            thread.join(_END_LIMIT_S)

    async def _for_request(self, sent: Sent, task: Task, kind: type[AnswerT]) -> AnswerT:
        try:
            return _of_kind(await self._turn(task), kind)
        except NoPicture as error:
            raise sent.refused(error) from error

    async def _turn(self, task: Task) -> Answer:
        """Wait in the event loop, for a bounded time. Raises `RateLimitExceeded` once that is over, or sure to be."""
        bound, ahead_s = self._bounds.wait_limit_s, self._pending * self._usual_s / self._bounds.decoders
        if self._pending >= self._bounds.decoders and ahead_s > bound:
            raise self._busy(ahead_s)
        future = self._submit(task)
        answer = asyncio.wrap_future(future)
        try:
            await asyncio.wait({answer}, timeout=bound)
            if not answer.done() and future.cancel():
                raise self._busy(bound)
            return await answer
        finally:
            future.cancel()  # where the one who waits was cancelled

    def _busy(self, wait_s: float) -> RateLimitExceeded:
        return RateLimitExceeded(
            f"{self._pending} pictures of other requests are being decoded or wait for it; send yours again later",
            retry_after=max(1, math.ceil(wait_s)),
        )

    def _submit(self, task: Task) -> Future[Answer]:
        future: Future[Answer] = Future()
        with self._changing:
            if self._closed:
                raise ServiceUnavailable("The server is ending; ask again when it is back")
            self._pending += 1
            if self._pending > len(self._decoders) < self._bounds.decoders:
                decoder = Decoder(self._bounds)
                thread = Thread(target=self._serve, args=(decoder,), name="decoding", daemon=True)
                self._decoders[thread] = decoder
                thread.start()
        future.add_done_callback(self._settled)
        self._work.put((task, future))
        return future

    def _settled(self, _future: Future[Answer]) -> None:
        with self._changing:
            self._pending -= 1

    def _serve(self, decoder: Decoder) -> None:
        """A thread's life: hand each task to its process, and end that when nothing comes."""
        try:
            while True:
                try:
                    work = self._work.get(timeout=self._bounds.idle_s if decoder.running else None)
                except Empty:
                    decoder.end()
                    continue
                if work is None:
                    return
                task, future = work
                if future.set_running_or_notify_cancel():
                    self._decode(decoder, task, future)
        finally:
            decoder.end()

    def _decode(self, decoder: Decoder, task: Task, future: Future[Answer]) -> None:
        began = time.monotonic()
        try:
            answer = decoder.ask(task)
        except Exception as error:  # it belongs to whoever waits
            ended = ServiceUnavailable("The server is ending; ask again when it is back")
            future.set_exception(ended if self._closed else error)
        else:
            future.set_result(answer)
        self._usual_s += _SHARE_OF_THE_LAST * (time.monotonic() - began - self._usual_s)


def _waited(future: Future[Answer], kind: type[AnswerT]) -> AnswerT:
    """What this thread waits for. Raises `NoPicture`."""
    return _of_kind(future.result(), kind)


def _of_kind(answer: Answer, kind: type[AnswerT]) -> AnswerT:
    if isinstance(answer, Refused):
        raise (TooMuch if answer.too_much else NoPicture)(answer.issue)
    if not isinstance(answer, kind):
        raise NoPicture("not decoded: what decodes it answered something else")
    return answer


def _sentence(error: NoPicture) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
