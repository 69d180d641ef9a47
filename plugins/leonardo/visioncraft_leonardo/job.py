"""One job's way through Leonardo.ai: ordered at most once, looked for where the answer was lost, fetched, withdrawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from visioncraft import (
    GeneratedImage,
    GenerationRequest,
    InputImage,
    JobCancelled,
    Progress,
    RateLimitExceeded,
    StorageError,
    UpstreamError,
    VisionCraftError,
)

from visioncraft_leonardo.catalogue import CloudModel
from visioncraft_leonardo.client import PAGE, Client, Ordered, is_uuid
from visioncraft_leonardo.errors import Lost, NotArrived, NotListed, Pending, TransientError, to_api_error
from visioncraft_leonardo.ledger import BudgetSpent, Ledger, Order, State
from visioncraft_leonardo.pace import Pace
from visioncraft_leonardo.payload import build_payload
from visioncraft_leonardo.pictures import fetch_picture, send_picture
from visioncraft_leonardo.retry import Tries, uninterrupted

log = logging.getLogger(__name__)

_PAGES = 20
_CLOCKS_APART_S = 60.0


class LeonardoJob:
    """One `run` of one job.

    Args:
        client: Open for as long as this is used.
        ledger: Knows what an earlier run of the same job did.
        pace: Shared with the other jobs.
        request: What to draw; its `job_id` names the job.
        progress: Hears where it is.
    """

    def __init__(
        self, client: Client, ledger: Ledger, pace: Pace, request: GenerationRequest, progress: Progress
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._tries = Tries(client.settings)
        self._ledger = ledger
        self._pace = pace
        self._request = request
        self._progress = progress
        self._id = request.job_id

    async def run(self, choose: Callable[[], Awaitable[CloudModel]]) -> GeneratedImage:
        """Draw the picture, or go on where an earlier run ended.

        Args:
            choose: Finds the model; only a new order asks.
        """
        try:
            order = await asyncio.to_thread(self._ledger.find, self._id)
            if order is not None and order.state is State.CANCELLED:
                await self._withdraw()
                raise JobCancelled
            generation_id = await self._generation_of(order, choose)
            return await self._collect(generation_id)
        except (asyncio.CancelledError, JobCancelled):
            if self._progress.cancelled:
                await self._withdraw()
            raise

    async def _generation_of(self, order: Order | None, choose: Callable[[], Awaitable[CloudModel]]) -> str:
        if order is None:
            model = await choose()
            payload = build_payload(self._request, model)
            if self._request.init_image is not None:
                payload["init_image_id"] = await self._sent(self._request.init_image)
            return await self._order(model, payload)
        return order.generation_id or await self._reconciled(order)

    async def _sent(self, image: InputImage) -> str:
        """Send a picture to start from, which costs nothing; answers its id."""

        async def attempt() -> str:
            self._progress.stage("sending the picture")
            slot = await self._client.init_image()
            await send_picture(self._client.http, slot, image.png, self._settings)
            return slot.id

        try:
            return await self._tries.retry(attempt, TransientError, self._tries.out_of_attempts)
        except TransientError as error:
            raise to_api_error(error) from None

    async def _order(self, model: CloudModel, payload: dict[str, Any]) -> str:
        """Order until it has arrived, once."""
        order = Order(
            self._id,
            model.id,
            payload["prompt"],
            payload["seed"],
            payload["width"],
            payload["height"],
            self._request.quality,
        )

        async def attempt() -> Ordered | Order:
            self._pace.refuse_when_away()
            self._progress.stage("waiting for a turn")
            await self._pace.posts.acquire()
            self._progress.stage("ordering")
            return await uninterrupted(self._post(order, payload))

        try:
            done = await self._tries.retry(attempt, NotArrived, self._tries.out_of_attempts)
        except NotArrived as error:
            raise to_api_error(error) from None
        return done.id if isinstance(done, Ordered) else await self._reconciled(done)

    async def _post(self, order: Order, payload: dict[str, Any]) -> Ordered | Order:
        """The order and its record. Answers the row itself where the order's fate is unknown."""
        intended = await asyncio.to_thread(self._intend, order)
        try:
            ordered = await self._client.order(payload)
        except (NotArrived, VisionCraftError):
            await asyncio.to_thread(self._ledger.retract, self._id)
            raise
        except Lost as error:
            log.warning("%s: the answer to an order was lost (%s); it is looked for, not sent again", self._id, error)
            return intended
        try:
            ours = await asyncio.to_thread(self._ledger.claim, self._id, ordered.id, ordered.cost, ordered.unit)
        except StorageError as error:  # it is paid for: fetch it; a later run would look for it
            log.warning("%s: generation %s is not written down: %s", self._id, ordered.id, error)
            ours = True
        return ordered if ours else intended  # a job that lost the answer to the same order took ours: take its

    def _intend(self, order: Order) -> Order:
        settings = self._settings
        try:
            return self._ledger.intend(order, settings.daily_budget, settings.assumed_cost)
        except BudgetSpent as error:
            now = datetime.now(UTC)
            rest = 86400 - (now.hour * 3600 + now.minute * 60 + now.second)
            raise RateLimitExceeded(
                f"Leonardo.ai's daily budget of {settings.daily_budget:g} does not allow this picture: {error.spent:g} "
                f"is spent and it may cost {error.estimate:g}; raise [plugins.config.leonardo] daily_budget, or wait "
                "for midnight UTC",
                retry_after=rest,
            ) from None

    async def _reconciled(self, order: Order) -> str:
        """The generation of an order whose answer was lost, found among the user's. Never orders again."""
        self._progress.stage("looking for the order")
        try:
            return await self._tries.retry(
                lambda: self._look_for(order), TransientError, self._tries.waited_long_enough
            )
        except TransientError as error:
            await asyncio.to_thread(self._ledger.settle, self._id, State.UNKNOWN)
            raise UpstreamError(
                "It is unknown whether Leonardo.ai drew this picture; it was not ordered again",
                api_error=f"the answer to the order was lost, and then: {error}",
                suggestion="Look at your generations at leonardo.ai; if it is not there, send the request again",
            ) from None

    async def _look_for(self, order: Order) -> str:
        account = await self._client.me()
        since = order.ordered_at + account.clock_ahead_s - _CLOCKS_APART_S
        for page in range(_PAGES):
            found = await self._client.generations(account.user_id, page * PAGE)
            for generation in found:
                if _is_that_of(order, generation, since):
                    generation_id = str(generation["id"])
                    if await asyncio.to_thread(self._ledger.claim, self._id, generation_id):
                        return generation_id
            if len(found) < PAGE or _created(found[-1]) < since:
                break
        raise NotListed("no such generation is listed")

    async def _collect(self, generation_id: str) -> GeneratedImage:
        """Wait until it is drawn, and fetch it."""
        try:
            generation = await self._tries.retry(
                lambda: self._look_at(generation_id), TransientError, self._tries.waited_long_enough
            )
            png, width, height = await self._tries.retry(
                lambda: self._fetch(generation_id, generation), TransientError, self._tries.out_of_attempts
            )
        except TransientError as error:
            raise UpstreamError(
                f"Leonardo.ai's generation {generation_id} was ordered but could not be fetched",
                api_error=str(error),
                suggestion="Look at it at leonardo.ai; it is not ordered again",
            ) from None
        await asyncio.to_thread(self._ledger.settle, self._id, State.COMPLETE)
        seed = generation.get("seed")
        return GeneratedImage(
            png,
            width,
            height,
            seed if isinstance(seed, int) else self._request.seed,
            facts={"leonardo": await self._facts(generation_id, generation)},
        )

    async def _look_at(self, generation_id: str) -> dict[str, Any]:
        self._progress.stage("pending")
        generation = await self._client.generation(generation_id)
        if generation is None:
            raise NotListed("Leonardo.ai does not know it")
        if generation["status"] == "FAILED":
            await asyncio.to_thread(self._ledger.settle, self._id, State.FAILED)
            raise UpstreamError(
                "Leonardo.ai generation failed",
                api_error=f"generation {generation_id} ended as FAILED; Leonardo.ai gives no reason",
                suggestion="Send the request again, or change the prompt or the model",
            )
        if generation["status"] != "COMPLETE":
            raise Pending("it was not drawn in time")
        _address(generation)
        return generation

    async def _fetch(self, generation_id: str, generation: dict[str, Any]) -> tuple[bytes, int, int]:
        self._progress.stage("fetching")
        return await fetch_picture(self._client.http, _address(generation), self._settings)

    async def _facts(self, generation_id: str, generation: dict[str, Any]) -> dict[str, Any]:
        order = await asyncio.to_thread(self._ledger.find, self._id)
        facts: dict[str, Any] = {"generation": generation_id, "model": generation.get("modelId")}
        if order is not None and order.cost is not None:
            facts |= {"cost": order.cost, "unit": order.unit}
        return facts | {"nsfw": bool(generation["generated_images"][0].get("nsfw"))}

    async def _withdraw(self) -> None:
        """Somebody cancelled the job: delete what was ordered for it. Only the log is left to hear of trouble."""
        order = await asyncio.to_thread(self._ledger.find, self._id)
        if order is None or order.state in (State.COMPLETE, State.FAILED):
            return
        await asyncio.to_thread(self._ledger.settle, self._id, State.CANCELLED)
        try:
            await self._tries.retry(lambda: self._delete(order), TransientError, self._tries.out_of_attempts)
        except (TransientError, VisionCraftError) as error:
            log.warning("%s: cancelled, but not deleted at Leonardo.ai: %s", self._id, error)

    async def _delete(self, order: Order) -> None:
        generation_id = order.generation_id
        if generation_id is None:
            generation_id = await self._look_for(order)
            await asyncio.to_thread(self._ledger.settle, self._id, State.CANCELLED)
        await self._client.delete(generation_id)


def _address(generation: dict[str, Any]) -> str:
    images = generation.get("generated_images")
    if not isinstance(images, list) or not images or not isinstance(images[0], dict):
        raise Lost("a complete generation without a picture")
    url = images[0].get("url")
    if not isinstance(url, str):
        raise Lost("a picture without an address")
    return url


def _is_that_of(order: Order, generation: dict[str, Any], since: float) -> bool:
    """Whether a listed generation is what was ordered. The size is left out: Leonardo.ai may draw larger."""
    return (
        is_uuid(generation.get("id"))
        and str(generation.get("prompt", "")).strip() == order.prompt.strip()
        and generation.get("seed") == order.seed
        and generation.get("modelId") == order.model_id
        and _created(generation) >= since
    )


def _created(generation: dict[str, Any]) -> float:
    try:
        moment = datetime.fromisoformat(str(generation.get("createdAt")))
    except ValueError:
        return float("inf")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
