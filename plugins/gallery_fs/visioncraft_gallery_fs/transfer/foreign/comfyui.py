"""ComfyUI: the text chunk `prompt`, a graph of nodes as JSON, `{id: {"class_type": …, "inputs": {…}}}`.

An input is a value or a link `[id of another node, number of its output]`. Where a value stands is every graph's own
affair, so each is looked for from the sampler back along the links, the nearest one first
(https://docs.comfy.org/development/core-concepts/workflow).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visioncraft_diffusion.samplers import from_comfyui

from visioncraft_gallery_fs.transfer.foreign.metadata import ForeignMetadata, check_whole, model_name, seed_of, settings

_TEXTS = ("text", "text_g", "clip_l", "t5xxl", "string", "value", "prompt")
_OTHER = {"positive": "negative", "negative": "positive"}
_GUIDING = {"positive", "conditioning"}
_NO_TEXTS = {"model", "clip", "vae", "control_net", "image", "mask", "latent_image", "samples", "pixels"}
"""Inputs behind which no prompt is looked for."""
_EMPTYING = {"ConditioningZeroOut"}
"""Nodes that answer a conditioning of nothing, whatever leads to them."""
_LED_THROUGH = {"value", "string_a"}
_DEPTH = 200
_LONGEST = 100_000
"""Nodes that a text may be put together from, and its characters: a graph may join a text with itself for ever."""
_MODELS = ("ckpt_name", "unet_name", "model_name")
_INGREDIENT = re.compile(
    "lora|controlnet|ipadapter|hypernetwork|upscale|vaeloader|loadimage|gligen|style|unclip|freeu|inpaint|setmask|"
    "perturbed|patchmodel|clipsetlastlayer|modelsampling|rescalecfg|conditioning(combine|concat|average|setarea)",
    re.IGNORECASE,
)
"""Kinds of nodes which say that more than model, prompts, seed, sampler and size made the picture what it is."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a graph: its class, and its inputs by their names."""

    kind: str
    inputs: Mapping[str, Any]


Graph = dict[str, Node]


def read(texts: Mapping[str, str]) -> ForeignMetadata | None:
    """What the graph says; None where there is none, or one that samples nothing.

    Raises `HalfUnderstood` where its steps or its seed are no numbers.
    """
    graph = _graph(texts.get("prompt"))
    sampler = next(_samplers(graph), None)
    if sampler is None:
        return None
    seed, unusual = seed_of(_number(graph, sampler, ("seed", "noise_seed")))
    prompts, unclear = _prompts(graph, sampler)
    steps, guidance = _number(graph, sampler, ("steps",)), _nearest(graph, sampler, ("cfg", "guidance"))
    return ForeignMetadata(
        "comfyui",
        prompts["positive"],
        prompts["negative"],
        model_name(_nearest(graph, sampler, _MODELS)),
        seed,
        settings(steps, guidance, _sampler_name(graph, sampler)),
        unusual,
        [*_ingredients(graph, sampler), *unclear],
    )


def _ingredients(graph: Graph, sampler: str) -> list[str]:
    """The kinds of nodes before a sampler that a replay does without."""
    return sorted({kind for number in _upstream(graph, sampler) if _INGREDIENT.search(kind := graph[number].kind)})


def _sampler_name(graph: Graph, sampler: str) -> object:
    name, schedule = (_nearest(graph, sampler, (key,)) for key in ("sampler_name", "scheduler"))
    return from_comfyui(name, schedule) if isinstance(name, str) else name


def _number(graph: Graph, sampler: str, names: tuple[str, ...]) -> object:
    value = _nearest(graph, sampler, names)
    check_whole(names[0], value)
    return value


def _graph(text: str | None) -> Graph:
    try:
        nodes = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(nodes, dict):
        return {}
    return {
        str(number): Node(str(node.get("class_type", "")), node["inputs"])
        for number, node in nodes.items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }


def _samplers(graph: Graph) -> Iterator[str]:
    """Nodes that draw, the last of a chain first: whatever takes a latent and a seed, or noise."""
    drawing = [
        number
        for number, node in graph.items()
        if {"latent_image", "samples"} & node.inputs.keys() and {"seed", "noise_seed", "noise"} & node.inputs.keys()
    ]
    feeding = {node for number in drawing for node in _upstream(graph, number) if node != number}
    yield from (number for number in drawing if number not in feeding)


def _prompts(graph: Graph, sampler: str) -> tuple[dict[str, str], list[str]]:
    """The prompts of a sampler, or of the guider before it, which may take one alone; and which could not be read."""
    found, unclear = {"positive": "", "negative": ""}, []
    inputs = next(
        (inputs for number in _upstream(graph, sampler) if _GUIDING & (inputs := graph[number].inputs).keys()), {}
    )
    for role, link in (("positive", "positive" if "positive" in inputs else "conditioning"), ("negative", "negative")):
        if (start := _target(inputs.get(link))) in graph:
            text = _text(graph, start, role)
            found[role] = text or ""
            unclear += [f"a {role} prompt that could not be read"] if text is None else []
    return found, unclear


def _text(graph: Graph, start: str, role: str) -> str | None:
    """The nearest text behind a conditioning; None where none is found.

    Args:
        graph: Every node.
        start: The node whose output the conditioning is.
        role: `positive` or `negative`. A node that takes both, as ControlNetApplyAdvanced, answers both, and the way
            goes on through its input of that name.
    """
    waiting, seen, empty = deque([start]), {start}, None
    while waiting:
        node = graph.get(waiting.popleft())
        if node is None or node.kind in _EMPTYING:
            empty = empty if node is None else ""
            continue
        named = (role, f"text_{role}", f"{role}_prompt", f"prompt_{role}", *_TEXTS)
        values = (_resolved(graph, node.inputs.get(name)) for name in named)
        if (text := next((value for value in values if isinstance(value, str)), None)) is not None:
            return text
        targets = [target for target in _behind(node, role) if target not in seen]
        seen.update(targets)
        waiting.extend(targets)
    return empty


def _behind(node: Node, role: str) -> list[str]:
    """The nodes behind one that its conditioning of this role may come from."""
    if own := _target(node.inputs.get(role)):
        return [own]
    names = [name for name in node.inputs if name != _OTHER[role] and name not in _NO_TEXTS]
    return [target for name in names if (target := _target(node.inputs[name]))]


def _nearest(graph: Graph, start: str, names: tuple[str, ...]) -> object:
    """The value of the first of these inputs that is no link, walking back from a node; None where there is none."""
    for number in _upstream(graph, start):
        for name in names:
            value = _resolved(graph, graph[number].inputs.get(name))
            if value is not None and not isinstance(value, list | dict):
                return value
    return None


def _resolved(graph: Graph, value: object, known: dict[str, object] | None = None) -> object:
    """What is at the end of links to nodes that do nothing but hold a `value`, as `PrimitiveInt`, or join two strings.

    Args:
        known: What is at the end of nodes that were looked at already; a graph may lead in circles.
    """
    known = {} if known is None else known
    target = _target(value)
    if target not in graph or not graph[target].inputs.keys() & _LED_THROUGH:
        return value
    if target not in known and len(known) < _DEPTH:
        known[target] = None
        known[target] = _given(graph, target, known)
    return known.get(target)


def _given(graph: Graph, number: str, known: dict[str, object]) -> object:
    """What a node answers that holds a value, or joins two strings as ComfyUI's `StringConcatenate` does."""
    inputs = graph[number].inputs
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
        for value in graph[number].inputs.values():
            target = _target(value)
            if target in graph and target not in seen:
                seen.add(target)
                waiting.append(target)


def _target(value: object) -> str:
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else ""
