"""From a body of `POST /generate` to a job: the one way in, of all routes that draw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Header, Request

from visioncraft.api.schemas.generation import GenerateBody
from visioncraft.jobs.job import Job, Order
from visioncraft.runtime.runtime import Runtime

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="The same key gives the same job, however often it is sent: for clients that ask again after a "
        "lost connection. Such a job is not cancelled when its client hangs up",
    ),
]
"""The header `Idempotency-Key`, as a parameter of any route that draws."""


async def submit(
    body: GenerateBody,
    request: Request,
    runtime: Runtime,
    key: str | None,
    wants_png: bool = False,
    warnings: Sequence[str] = (),
) -> Job:
    """Validate a body and queue its job; the same key gives the same job.

    Only what the client sent: for the rest the model has defaults of its own.

    Args:
        body: What is asked for.
        request: Who asks.
        runtime: Draws it.
        key: The client's `Idempotency-Key`.
        wants_png: Whether the picture's bytes are kept for this caller.
        warnings: What is to be told with the job, beside what the body itself gives rise to.
    """
    service = runtime.service
    model = await service.find_model(body.model if "model" in body.model_fields_set else None)
    own = body.take({each.name for other in service.models() for each in other.parameters})
    order = Order(
        client=service.caller_of(request),
        priority=body.priority or 0,
        key=key,
        fingerprint=_fingerprint(body, own) if key else "",
        warnings=(*body.warnings(), *warnings),
    )
    sent = body.model_dump(include=body.model_fields_set - {"prompt", "model", "priority"})
    return await service.accept(model, body.prompt, order, {**sent, **own}, wants_png)


def _fingerprint(body: GenerateBody, own: Mapping[str, Any]) -> str:
    """What tells this request from others under the same key."""
    text = body.model_dump_json() + (json.dumps(own, sort_keys=True) if own else "")
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
