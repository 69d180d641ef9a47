"""`/api/jobs`: ComfyUI's newer list of prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from visioncraft import InvalidRequest, NotFound

from visioncraft_comfyui_api.bodies import json_of, number_of
from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.prompts import Prompt
from visioncraft_comfyui_api.telling import job, page

_WHY = "a ComfyUI client cancelled it"


def routes(desk: Desk) -> APIRouter:
    """These routes."""
    found = APIRouter()
    _of_cancels(found, desk)

    @found.get("/jobs")
    async def jobs(request: Request) -> dict[str, Any]:
        """All prompts, the newest first, or those of some states."""
        wanted = set(filter(None, request.query_params.get("status", "").split(",")))
        seen = desk.seen_by(request, desk.book.all())
        listed = [each for each in seen if not wanted or each.state in wanted]
        listed.sort(key=_key(request), reverse=request.query_params.get("sort_order", "desc") != "asc")
        limit, offset = number_of(request, "limit"), number_of(request, "offset") or 0
        shown = page(listed, limit, offset)
        more = offset + len(shown) < len(listed)
        paging = {"offset": offset, "limit": limit, "total": len(listed), "has_more": more}
        return {"jobs": [job(each) for each in shown], "pagination": paging}

    @found.get("/jobs/{job_id}")
    async def one(job_id: str, request: Request) -> dict[str, Any]:
        """One prompt, with its graph."""
        prompt = _known(desk, request, job_id)
        documents = await desk.book.documents([prompt])
        return job(prompt, documents.get(prompt.id, {}))

    return found


def _of_cancels(found: APIRouter, desk: Desk) -> None:
    @found.post("/jobs/cancel")
    async def cancel_several(request: Request) -> dict[str, Any]:
        """Cancel those that are named, as far as they are one's own."""
        named = (await json_of(request)).get("job_ids")
        if not isinstance(named, list):
            raise InvalidRequest.of("job_ids", "a list of prompts' ids")
        chosen = [(str(each), desk.find(request, each)) for each in named]
        return {"cancelled": [each_id for each_id, each in chosen if await desk.cancel(each, _WHY)]}

    @found.post("/jobs/{job_id}/cancel")
    async def cancel(job_id: str, request: Request) -> dict[str, Any]:
        """Cancel one, whether it waits or runs."""
        return {"cancelled": await desk.cancel(_known(desk, request, job_id), _WHY)}


def _known(desk: Desk, request: Request, job_id: str) -> Prompt:
    prompt = desk.find(request, job_id)
    if prompt is None:
        raise NotFound(f"No job '{job_id[:64]}'")
    return prompt


def _key(request: Request) -> Callable[[Prompt], float]:
    by_duration = request.query_params.get("sort_by") == "execution_duration"
    return lambda each: (each.ended or 0) - (each.started or 0) if by_duration else each.created
