"""ComfyUI: the text chunk `prompt`, a graph of nodes as JSON, `{id: {"class_type": …, "inputs": {…}}}`.

An input is a value or a link `[id of another node, number of its output]`. Where a value stands is every graph's own
affair, so each is looked for from the sampler back along the links, the nearest one first
(https://docs.comfy.org/development/core-concepts/workflow).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from visioncraft_gallery_fs.foreign.found import Found, model_name, seed_of, settings

Graph = dict[str, dict[str, Any]]
_TEXTS = ("text", "text_g", "clip_l", "t5xxl", "string", "value", "prompt")
_LED_THROUGH = {"value", "string_a"}
_DEPTH = 200
_LONGEST = 100_000
"""Nodes that a text may be put together from, and its characters: a graph may join a text with itself for ever."""
_MODELS = ("ckpt_name", "unet_name", "model_name")


def read(texts: Mapping[str, str]) -> Found | None:
    """What the graph says; None where there is none, or one that samples nothing."""
    graph = _graph(texts.get("prompt"))
    sampler = next(_samplers(graph), None)
    if sampler is None:
        return None
    name, schedule = (_nearest(graph, sampler, (key,)) for key in ("sampler_name", "scheduler"))
    if isinstance(name, str):
        name = name.removesuffix("_gpu")  # the same sampler, with its noise from the GPU
        name += f"_{schedule}" if schedule in ("karras", "exponential", "beta", "sgm_uniform") else ""
    seed, unusual = seed_of(_nearest(graph, sampler, ("seed", "noise_seed")))
    return Found(
        "comfyui",
        _text(graph, sampler, "positive", "conditioning"),
        _text(graph, sampler, "negative"),
        model_name(_nearest(graph, sampler, _MODELS)),
        seed,
        settings(_nearest(graph, sampler, ("steps",)), _nearest(graph, sampler, ("cfg", "guidance")), name),
        unusual,
    )


def _graph(text: str | None) -> Graph:
    try:
        nodes = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(nodes, dict):
        return {}
    return {
        str(number): node["inputs"]
        for number, node in nodes.items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }


def _samplers(graph: Graph) -> Iterator[str]:
    """Nodes that draw, the last of a chain first: whatever takes a latent and a seed, or noise."""
    drawing = [
        number
        for number, inputs in graph.items()
        if ("latent_image" in inputs or "samples" in inputs) and {"seed", "noise_seed", "noise"} & set(inputs)
    ]
    feeding = {node for number in drawing for node in _upstream(graph, number) if node != number}
    yield from (number for number in drawing if number not in feeding)


def _text(graph: Graph, start: str, *links: str) -> str:
    """The text of the conditioning that a sampler, or the guider before it, takes through one of these links."""
    for number in _upstream(graph, start):
        for link in links:
            target = _target(graph[number].get(link))
            if target in graph:
                found = _nearest(graph, target, (*_TEXTS, link))
                return found if isinstance(found, str) else ""
    return ""


def _nearest(graph: Graph, start: str, names: tuple[str, ...]) -> object:
    """The value of the first of these inputs that is no link, walking back from a node; None where there is none."""
    for number in _upstream(graph, start):
        for name in names:
            value = _resolved(graph, graph[number].get(name))
            if value is not None and not isinstance(value, list | dict):
                return value
    return None


def _resolved(graph: Graph, value: object, known: dict[str, object] | None = None) -> object:
    """What is at the end of links to nodes that do nothing but hold a `value`, as `PrimitiveInt`, or join two strings.

    Parameters
    ----------
    known: What is at the end of nodes that were looked at already; a graph may lead in circles.
    """
    known = {} if known is None else known
    target = _target(value)
    if target not in graph or not graph[target].keys() & _LED_THROUGH:
        return value
    if target not in known and len(known) < _DEPTH:
        known[target] = None
        known[target] = _given(graph, target, known)
    return known.get(target)


def _given(graph: Graph, number: str, known: dict[str, object]) -> object:
    """What a node answers that holds a value, or joins two strings as ComfyUI's `StringConcatenate` does."""
    inputs = graph[number]
    if "value" in inputs:
        return _resolved(graph, inputs["value"], known)
    parts = [_resolved(graph, inputs.get(name, ""), known) for name in ("string_a", "delimiter", "string_b")]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if sum(map(len, texts)) <= _LONGEST else None


def _upstream(graph: Graph, start: str) -> Iterator[str]:
    waiting, seen = deque([start]), {start}
    while waiting:
        number = waiting.popleft()
        yield number
        for value in graph[number].values():
            target = _target(value)
            if target in graph and target not in seen:
                seen.add(target)
                waiting.append(target)


def _target(value: object) -> str:
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else ""
