"""The server as routes use it, `visioncraft.Service`: from a client's fields to a job, and back to its images."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from visioncraft.access import sight
from visioncraft.access.scopes import require
from visioncraft.credentials import credentials, is_among
from visioncraft.errors import InvalidRequest, ModelNotAvailable, NotFound, ServiceUnavailable
from visioncraft.images import inputs
from visioncraft.jobs.events import view_of
from visioncraft.jobs.job import Job, Order
from visioncraft.jobs.ledger.contract import SetAside
from visioncraft.jobs.requests import Plan, plan_request
from visioncraft.plugins.contracts import ImageStore
from visioncraft.plugins.service import LIFETIME_S
from visioncraft.runtime.sent_images import found_in, resolve
from visioncraft.types.editing import ImageFacts
from visioncraft.types.gallery import ImageRecord
from visioncraft.types.identity import Identity
from visioncraft.types.jobs import JobEvent, JobState, JobView
from visioncraft.types.models import ModelInfo, StoredModel

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.requests import HTTPConnection

    from visioncraft.runtime.runtime import Runtime

_EDITING = ("init_image", "mask", "controlnet", "reference_images")
"""The fields that hold images: they ask for the scope `edit`."""

_LOOKED_THROUGH = 1000
"""How many of everybody's newest jobs are looked through for somebody's own."""

NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""A name has more than spaces and no control characters. As a JSON Schema has it too (ECMA 262)."""


class RuntimeService:
    """The one way into the queue, for the API's own routes and for those of plugins.

    Args:
        runtime: The server's parts.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def store(self) -> ImageStore:
        """The gallery that settings select, as whoever sent the request may see it."""
        return sight.shown(self._runtime.registry.store)

    def models(self) -> Sequence[ModelInfo]:
        """The models that can draw now, for whoever sent the request."""
        return [model for model in self._runtime.registry.available() if sight.may_use(model)]

    async def look_for_models(self) -> Sequence[ModelInfo]:
        """The models that can draw now, after a look for weights that came since the last one."""
        await asyncio.to_thread(self._runtime.registry.refresh)
        return self.models()

    async def parts(self) -> Sequence[StoredModel]:
        """What models draw with beside their own weights; see `visioncraft.Service`."""
        return await asyncio.to_thread(self._runtime.registry.parts)

    async def find_model(self, name: str | None) -> ModelInfo:
        """The model a client means; weights that came since the last look are found. Raises `ModelNotAvailable`."""
        registry = self._runtime.registry
        if name is not None and not re.fullmatch(NAME_PATTERN, name):
            raise InvalidRequest.of("model", "a model's id, see GET /models")
        try:
            found = registry.model(name)
        except ModelNotAvailable:
            await asyncio.to_thread(registry.refresh)
            found = registry.model(name)
        return found if sight.may_use(found) else self._allowed_instead(name)

    async def submit(
        self,
        model: str | None,
        prompt: str,
        *,
        caller: str = "",
        key: str | None = None,
        priority: int = 0,
        warnings: Sequence[str] = (),
        dialect: str = "",
        **fields: Any,
    ) -> JobView:
        """Queue a job; see `visioncraft.Service`."""
        fingerprint = _fingerprint(model, prompt, fields) if key else ""
        order = Order(caller, priority, key, fingerprint, tuple(warnings))
        return self.view(await self.accept(await self.find_model(model), prompt, order, fields, dialect=dialect))

    async def accept(
        self,
        model: ModelInfo,
        prompt: str,
        order: Order,
        fields: Mapping[str, Any],
        wants_png: bool = False,
        dialect: str = "",
    ) -> Job:
        """Validate what is asked and queue its job; the same key gives the same job. Raises as `submit`.

        Args:
            model: Draws.
            prompt: What to draw.
            order: Who asks, and how.
            fields: As `submit` takes them.
            wants_png: Whether the image's bytes are kept in memory for this caller, until `JobService.release`.
            dialect: In which plugin's dialect that is asked.
        """
        require("edit" if any(fields.get(name) for name in _EDITING) else "generate")
        jobs = self._runtime.jobs
        if order.key is None:  # under a key it may be a job that is there already
            jobs.check_queue(model, order)
        plan = await self._plan(model, prompt, await resolve(fields, self.store))
        plan = replace(plan, request=replace(plan.request, dialect=dialect, owner=sight.owner()))
        complete = partial(plan.complete, self._runtime.decoders) if plan.pictures else None
        return await jobs.submit(plan.request, order, wants_png, complete)

    def jobs(self, caller: str | None = None) -> Sequence[JobView]:
        """The jobs that run and those that wait, in the order in which they run; of one caller, or of all."""
        live = [job for job in self.live() if caller in (None, job.order.client)]
        return sorted(map(self.view, live), key=lambda job: (job.position, job.started_at or job.created_at))

    def live(self) -> list[Job]:
        """The jobs that wait or run and may be seen, in the order of their coming."""
        return [job for job in self._runtime.jobs.live() if sight.sees(job.request.owner)]

    async def find_job(self, job_id: str) -> Job:
        """A job by its id. Raises `NotFound`, for another's job too."""
        job = await self._runtime.jobs.get(job_id)
        if not sight.sees(job.request.owner):
            raise NotFound(f"No job '{job_id[:64]}'")
        return job

    async def latest(self, limit: int, state: JobState | None = None) -> Sequence[Job]:
        """The newest jobs that may be seen, newest first; of somebody's own those among the newest thousand of all."""
        if sight.sees_all():
            return await self._runtime.jobs.latest(limit, state)
        found = await self._runtime.jobs.latest(_LOOKED_THROUGH, state)
        return [job for job in found if sight.sees(job.request.owner)][:limit]

    async def set_aside(self, limit: int) -> Sequence[SetAside]:
        """Jobs that the ledger cannot tell of any more, which nobody knows the owner of."""
        return await self._runtime.jobs.set_aside(limit) if sight.sees_all() else []

    async def job(self, job_id: str) -> JobView:
        """Where a job stands. Raises `NotFound`."""
        return self.view(await self.find_job(job_id))

    async def watch(self, job_id: str, after: str | None = None) -> AsyncIterator[JobEvent]:
        """What happens to a job until its end, beginning with where it stands."""
        async for event in self._runtime.jobs.watch(await self.find_job(job_id), after):
            yield event

    async def watch_all(self) -> AsyncIterator[JobEvent]:
        """What happens to any job that may be seen, from now on until the server ends."""
        with self.listening() as events:
            async for event in events:
                yield event

    @contextmanager
    def listening(self) -> Iterator[AsyncIterator[JobEvent]]:
        """The same, from the moment that the block begins."""
        with self._runtime.jobs.events.listen() as events:
            yield (event async for event in events if sight.sees(event.owner))

    async def wait(self, job_id: str, request: Request | None = None) -> JobView:
        """Wait until a job has ended well; hanging up cancels it. Raises what it ended with instead."""
        job = await self.find_job(job_id)
        await self.outcome(job, request)
        return self.view(job)

    async def outcome(self, job: Job, request: Request | None) -> ImageRecord:
        """The first image's record of a job, once it has ended. Raises the job's error where there is none."""
        if request is None:
            return _succeeded(job, await self._runtime.jobs.outcome(job))
        async with self._cancelled_on_hangup(job, request):
            trouble = await self._runtime.jobs.outcome(job)
        return _succeeded(job, trouble)

    async def cancel(self, job_id: str, why: str = "") -> JobView:
        """Cancel a job: at once while it waits, within one step while it runs; an ended one stays as it is."""
        return self.view(await self._runtime.jobs.cancel((await self.find_job(job_id)).id, why))

    async def image(self, job_id: str, number: int = 0) -> bytes:
        """The PNG of one of a job's images. Raises `NotFound`."""
        job = await self.find_job(job_id)
        if not 0 <= number < len(job.records):
            raise NotFound(f"{job_id} has no image {number}; it has {len(job.records)}")
        if number == 0 and job.png is not None:
            return job.png
        return await asyncio.to_thread(self._runtime.registry.store.open, job.records[number].id)

    async def inspect(self, image: bytes | str, field: str = "image") -> ImageFacts:
        """How large an image is that a client sent, and its texts; see `visioncraft.Service`."""
        found = await found_in(field, image, self.store)
        return await self._runtime.decoders.inspect(await asyncio.to_thread(inputs.read, field, found))

    def image_url(self, request: Request, image_id: str, lifetime_s: float = LIFETIME_S) -> str:
        """Where whoever asks can fetch an image, with no header; see `visioncraft.Service`."""
        url: str = request.app.state.links.url(request, f"/images/{image_id}", lifetime_s)
        return url

    async def status(self) -> Mapping[str, Any]:
        """What `GET /status` answers."""
        from visioncraft.runtime.status import system_status  # which asks the runtime that has this service

        return await system_status(self._runtime)

    def caller_of(self, request: HTTPConnection) -> str:
        """Who asks: an identity, or the address and what tells tokens apart; nothing that a client makes up."""
        if (identity := getattr(request.state, "identity", None)) is not None:
            return str(identity.name)
        address = request.client.host if request.client else "unknown"
        mark = getattr(request.state, "token_mark", None)  # set by `middleware.TokenGuard`
        return f"{address}#{mark}" if mark else address

    async def identify(self, headers: Mapping[str, str]) -> Identity | None:
        """Who a request with these headers is from; see `visioncraft.Service`."""
        token = self._runtime.token.current()
        if not self._runtime.guarded() or (token and is_among(token, credentials(headers))):
            return Identity("")
        return await self._runtime.access_keys.authenticate(headers)

    def secret(self, purpose: str) -> bytes:
        """A key to sign with, which each purpose has for itself; see `visioncraft.Service`."""
        return self._runtime.token.secret(purpose)

    def view(self, job: Job) -> JobView:
        """A job as everybody outside the queue sees it."""
        return view_of(job, (self._runtime.jobs.position(job), self._runtime.jobs.eta_s(job)))

    def _allowed_instead(self, name: str | None) -> ModelInfo:
        """What a key draws with that may not use the default model. Raises `ModelNotAvailable` for one it named."""
        allowed = self.models()
        if name is not None or not allowed:
            raise ModelNotAvailable(name or "default", [model.id for model in allowed])
        return allowed[0]

    async def _plan(self, model: ModelInfo, prompt: str, fields: Mapping[str, Any]) -> Plan:
        """The request, validated; in a thread where images came with it, whose base64 takes a moment."""
        plan = partial(plan_request, model, prompt, self._runtime.registry.available, **fields)
        return await asyncio.to_thread(plan) if fields.get("init_image") or fields.get("controlnet") else plan()

    @asynccontextmanager
    async def _cancelled_on_hangup(self, job: Job, request: Request) -> AsyncIterator[None]:
        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            await self._runtime.jobs.hung_up(job)

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()


def _succeeded(job: Job, trouble: str | None) -> ImageRecord:
    if trouble is not None:
        raise ServiceUnavailable(f"{trouble}. {job.id} goes on by itself then, see GET /jobs/{job.id}", job=job.id)
    if job.record is None:
        raise job.error or ServiceUnavailable(f"The server is ending; {job.id} goes on when it is back")
    return job.record


def _fingerprint(model: str | None, prompt: str, fields: Mapping[str, Any]) -> str:
    """What tells this request from others under the same key."""
    asked = json.dumps([model, prompt, fields], sort_keys=True, default=_digest)
    return hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()


def _digest(value: object) -> str:
    """What stands for an image's bytes, and for a mask."""
    if is_dataclass(value) and not isinstance(value, type):
        return json.dumps(asdict(value), sort_keys=True, default=_digest)
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
