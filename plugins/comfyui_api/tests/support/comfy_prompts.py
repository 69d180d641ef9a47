"""Graphs sent to `/prompt`, and what became of them."""

from __future__ import annotations

from typing import Any

import httpx
from graphs import Listener
from visioncraft import read_record

Sent = dict[str, Any]


def queue(comfy: httpx.Client, graph: Any, **more: Any) -> str:
    """Queue a graph; answers the prompt's id."""
    answer = comfy.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


def refused(comfy: httpx.Client, graph: Any, **more: Any) -> Sent:
    """What a graph is refused with."""
    answer = comfy.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 400, answer.text
    found: Sent = answer.json()
    return found


def over(comfy: httpx.Client, graph: Any, **more: Any) -> Sent:
    """Draw a graph; answers its entry in history."""
    listener = Listener(comfy)
    prompt_id = queue(comfy, graph, client_id=listener.client_id, **more)
    listener.until_over(prompt_id)
    found: Sent = comfy.get(f"/history/{prompt_id}").json()[prompt_id]
    return found


def record_of(comfy: httpx.Client, image: Sent) -> Any:
    record = read_record(comfy.get("/view", params=image).content)
    assert record is not None
    return record
