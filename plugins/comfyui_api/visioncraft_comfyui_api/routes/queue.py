"""`/prompt`, `/queue`, `/interrupt`, `/history`, `/free`."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from visioncraft_comfyui_api.bodies import json_of, number_of
from visioncraft_comfyui_api.desk import Desk
from visioncraft_comfyui_api.graph.errors import GraphRefused
from visioncraft_comfyui_api.graph.known import KNOWN
from visioncraft_comfyui_api.prompts import Prompt
from visioncraft_comfyui_api.telling import history_entry, page, queue_item


def routes(desk: Desk) -> APIRouter:
    """These routes."""
    found = APIRouter()
    _of_prompts(found, desk)
    _of_queue(found, desk)
    _of_interrupts(found, desk)
    _of_history(found, desk)
    return found


def _of_prompts(found: APIRouter, desk: Desk) -> None:
    @found.post("/prompt")
    async def prompt(request: Request) -> Response:
        """Queue a graph; one that cannot be drawn is refused before it is."""
        body = await json_of(request)
        try:
            queued = await desk.submit(request, body)
        except GraphRefused as refused:
            return _refused(refused, body.get("prompt"))
        return _answer({"prompt_id": queued.id, "number": queued.number, "node_errors": {}})

    @found.get("/prompt")
    async def remaining() -> dict[str, Any]:
        """How many prompts are left."""
        told: dict[str, Any] = desk.book.status()["data"]["status"]
        return told


def _of_queue(found: APIRouter, desk: Desk) -> None:
    @found.get("/queue")
    async def queue(request: Request) -> dict[str, Any]:
        """The prompts that run and those that wait, in the order in which they run."""
        unfinished = desk.seen_by(request, desk.book.unfinished())
        documents = await desk.book.documents(unfinished)
        order = {job.id: place for place, job in enumerate(desk.service.jobs())}
        left = sorted((each for each in unfinished if not each.over), key=lambda each: order.get(each.job_id, 0))
        running = [queue_item(each, documents.get(each.id)) for each in left if each.state == "in_progress"]
        pending = [queue_item(each, documents.get(each.id)) for each in left if each.state == "pending"]
        return {"queue_running": running, "queue_pending": pending}

    @found.post("/queue")
    async def change_queue(request: Request) -> Response:
        """Take prompts that wait out of the queue: all of one's own, or those that are named."""
        body = await json_of(request)
        chosen: list[Prompt | None] = []
        if body.get("clear"):
            chosen += desk.own_of(request, body.get("client_id"))
        if isinstance(body.get("delete"), list):
            chosen += [desk.find(request, each) for each in body["delete"]]
        for each in chosen:
            if each is not None and each.state == "pending":
                await desk.cancel(each, "a ComfyUI client took it out of the queue")
        return Response()


def _of_interrupts(found: APIRouter, desk: Desk) -> None:
    @found.post("/interrupt")
    async def interrupt(request: Request) -> Response:
        """Stop the prompt that runs: the one that is named, else one's own, and never another identity's."""
        body = await json_of(request)
        named = body.get("prompt_id")
        chosen = [desk.find(request, named)] if named else [*desk.own_of(request, body.get("client_id"))]
        for each in chosen:
            if each is not None and each.state == "in_progress":
                await desk.cancel(each, "a ComfyUI client interrupted it")
        return Response()

    @found.post("/free")
    async def free(request: Request) -> Response:
        """Nothing to do: models that nobody asks for leave the memory by themselves."""
        await json_of(request)
        return Response()


def _of_history(found: APIRouter, desk: Desk) -> None:
    @found.get("/history")
    async def history(request: Request) -> dict[str, Any]:
        """The prompts that ended, the newest ones of them with `max_items` alone."""
        most, offset = number_of(request, "max_items"), number_of(request, "offset")
        ended = desk.seen_by(request, desk.book.history())
        start = max(0, len(ended) - most) if offset is None and most is not None else offset or 0
        return await _told(desk, page(ended, most, start))

    @found.get("/history/{prompt_id}")
    async def history_of(prompt_id: str, request: Request) -> dict[str, Any]:
        """One prompt that ended; nothing until then."""
        prompt = desk.find(request, prompt_id)
        return await _told(desk, [prompt] if prompt is not None and prompt.in_history else [])

    @found.post("/history")
    async def change_history(request: Request) -> Response:
        """Forget ended prompts: all of one's own, or those that are named. Their images stay in the gallery."""
        body, caller = await json_of(request), desk.service.caller_of(request)
        seen, owner = desk.seen_by(request, desk.book.history()), desk.owner_of(request)
        named = {str(each) for each in body["delete"]} if isinstance(body.get("delete"), list) else set()
        own = [each for each in seen if body.get("clear") and (each.owner, each.caller) == (owner, caller)]
        await desk.book.forget([*own, *(each for each in seen if each.id in named)])
        return Response()


async def _told(desk: Desk, prompts: list[Prompt]) -> dict[str, Any]:
    documents = await desk.book.documents(prompts)
    return {each.id: history_entry(each, documents.get(each.id)) for each in prompts}


def _refused(refused: GraphRefused, graph: object) -> Response:
    nodes = graph if isinstance(graph, dict) else {}
    classes = {str(key): str(node.get("class_type")) for key, node in nodes.items() if isinstance(node, dict)}
    outputs = [key for key, name in classes.items() if name in KNOWN and KNOWN[name].saves]
    return _answer(refused.document(classes, outputs), 400)


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
