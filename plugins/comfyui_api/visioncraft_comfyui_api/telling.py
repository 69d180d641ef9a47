"""Documents about prompts: the queue, history, and `/api/jobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visioncraft_comfyui_api.prompts import Prompt

_NOTHING: Mapping[str, Any] = {"prompt": {}, "extra_data": {}}


def queue_item(prompt: Prompt, document: Mapping[str, Any] | None) -> list[Any]:
    """A prompt as the queue and history have it."""
    found = document or _NOTHING
    extra = {**found["extra_data"], "create_time": int(prompt.created * 1000)}
    return [prompt.number, prompt.id, found["prompt"], extra, list(prompt.output_nodes)]


def history_entry(prompt: Prompt, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """An ended prompt as `/history` has it."""
    done = prompt.state == "completed"
    return {
        "prompt": queue_item(prompt, document),
        "outputs": prompt.outputs,
        "status": {"status_str": "success" if done else "error", "completed": done, "messages": prompt.messages},
        "meta": {
            node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
            for node in prompt.outputs
        },
    }


def job(prompt: Prompt, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A prompt as `/api/jobs` has it; with the graph and all outputs where one is asked for."""
    images = [
        {**image, "nodeId": node, "mediaType": "images"}
        for node, output in prompt.outputs.items()
        for image in output["images"]
    ]
    found: dict[str, Any] = {
        "id": prompt.id,
        "status": prompt.state,
        "priority": prompt.number,
        "create_time": int(prompt.created * 1000),
        "outputs_count": len(images),
    }
    for name, moment in (("execution_start_time", prompt.started), ("execution_end_time", prompt.ended)):
        if moment is not None:
            found[name] = int(moment * 1000)
    if images:
        found["preview_output"] = images[0]
    if prompt.state == "failed":
        found["execution_error"] = next((data for kind, data in prompt.messages if kind == "execution_error"), None)
    if document is not None:
        status = {"status_str": "success" if prompt.state == "completed" else "error", "messages": prompt.messages}
        found |= {"outputs": prompt.outputs, "execution_status": status, "workflow": dict(document)}
    return found


def page(prompts: Sequence[Prompt], limit: int | None, offset: int) -> list[Prompt]:
    """A part of a list."""
    return list(prompts[offset:]) if limit is None else list(prompts[offset : offset + limit])
