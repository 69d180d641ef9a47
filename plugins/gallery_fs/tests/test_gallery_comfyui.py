"""Prompts that ComfyUI's graphs put together from several nodes."""

from __future__ import annotations

import json

import pytest
from foreign_files import COMFY
from visioncraft_gallery_fs.transfer.foreign import comfyui


def joined(a: object, b: object, delimiter: object = None) -> dict[str, object]:
    """A node as ComfyUI writes it, whose delimiter is empty unless given."""
    told = {} if delimiter is None else {"delimiter": delimiter}
    return {"class_type": "StringConcatenate", "inputs": {"string_a": a, "string_b": b, **told}}


def test_prompts_that_are_joined_from_several_nodes_are_put_together() -> None:
    graph = json.loads(json.dumps(COMFY))
    graph["6"]["inputs"]["text"] = ["20", 0]
    graph["7"]["inputs"]["text"] = ["23", 0]
    graph["20"] = joined(["21", 0], ["22", 0], ", ")
    graph["21"] = {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a red apple"}}
    graph["22"] = joined("on a table", ["21", 0], ["24", 0])
    graph["23"] = joined("water", "mark")
    graph["24"] = {"class_type": "PrimitiveString", "inputs": {"value": " beside "}}
    found = comfyui.read({"prompt": json.dumps(graph)})
    assert found is not None
    assert found.prompt == "a red apple, on a table beside a red apple"
    assert found.negative_prompt == "watermark"


@pytest.mark.parametrize("nodes", [3, 60, 5000])
def test_joins_in_a_circle_or_without_end_are_no_error(nodes: int) -> None:
    for last in (str(100 + nodes), "100"):
        graph = json.loads(json.dumps(COMFY))
        graph["6"]["inputs"]["text"] = ["100", 0]
        for number in range(100, 100 + nodes):
            graph[str(number)] = joined([str(number + 1), 0], [str(number + 1), 0], " and ")
        graph[str(99 + nodes)] = joined([last, 0], "a fox")
        found = comfyui.read({"prompt": json.dumps(graph)})
        assert found is not None and (found.negative_prompt, found.seed) == ("watermark", 156680208700286)
        assert len(found.prompt) <= 100_000
