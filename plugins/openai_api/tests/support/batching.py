"""Batches as their senders have them: lines to send, the end to wait for, answers to read."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from openai import OpenAI
from openai.types import Batch

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
ONE_STEP: dict[str, Any] = {"model": "fake-few-steps", "steps": 1, "cfg_scale": 1.0}
ABLE: dict[str, Any] = {"model": "fake", "steps": 15}  # to start from images
FINAL = ("completed", "failed", "expired", "cancelled")

_LOOK_S = 0.02  # between two looks, as the protocol has no events


def line(custom_id: str, prompt: str = "red apple", url: str = GENERATIONS, **body: object) -> dict[str, Any]:
    """A request, small and of one step unless it says otherwise."""
    drawn = {"prompt": prompt, "size": "64x64", **ONE_STEP, **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": drawn}


def send(client: OpenAI, lines: Sequence[Mapping[str, Any] | str], purpose: Any = "batch") -> str:
    """Send a file of lines; answers its id."""
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    return client.files.create(file=("lines.jsonl", text.encode()), purpose=purpose).id


def begin(
    client: OpenAI,
    lines: Sequence[Mapping[str, Any] | str],
    endpoint: Any = GENERATIONS,
    window: Any = "24h",
    **more: Any,
) -> Batch:
    """Begin a batch of these lines."""
    file = send(client, lines)
    return client.batches.create(input_file_id=file, endpoint=endpoint, completion_window=window, **more)


def until(client: OpenAI, batch: Batch, *states: str) -> Batch:
    """Look at a batch until it stands there; pytest's timeout ends what never comes."""
    while (seen := client.batches.retrieve(batch.id)).status not in states:
        assert seen.status not in FINAL, seen
        time.sleep(_LOOK_S)
    return seen


def answers(client: OpenAI, file_id: str | None) -> dict[str | None, dict[str, Any]]:
    """The lines of a file by their custom ids, each there once."""
    assert file_id is not None
    found = [json.loads(text) for text in client.files.content(file_id).text.splitlines()]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found)
    return by_id
