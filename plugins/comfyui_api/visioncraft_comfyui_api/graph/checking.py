"""Checks of a graph that need only its nodes' descriptions: classes, inputs, links, values. In ComfyUI's own words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from visioncraft_comfyui_api.graph.describing import described_input
from visioncraft_comfyui_api.graph.errors import GraphRefused, Problem, failed
from visioncraft_comfyui_api.graph.known import KNOWN
from visioncraft_comfyui_api.graph.lists import Lists
from visioncraft_comfyui_api.graph.spec import Input, NodeClass

MOST_NODES = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was sent.

    Args:
        id: Its id.
        class_name: Its class.
        inputs: Its inputs as they were sent.
    """

    id: str
    class_name: str
    inputs: Mapping[str, Any]

    @property
    def known(self) -> NodeClass:
        """The description of its class."""
        return KNOWN[self.class_name]


@dataclass(frozen=True, slots=True)
class Link:
    """Where an input comes from: a node, and which of its outputs."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph whose nodes are known and fit together.

    Args:
        nodes: Those that the outputs need, each after those that it needs itself.
        inputs: Of each node: values, and links.
        outputs: The ids of the output nodes.
    """

    nodes: Sequence[Node]
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Sequence[str]


def nodes_of(prompt: object) -> dict[str, Node]:
    """The nodes of a graph in the API's form. Raises `GraphRefused` for what is no graph, and for unknown classes."""
    if not isinstance(prompt, dict) or len(prompt) > MOST_NODES:
        what = f"an object of at most {MOST_NODES} nodes, each by its id"
        raise GraphRefused("invalid_prompt", "Cannot execute: the prompt is no graph", what)
    return {str(node_id): _node(str(node_id), node) for node_id, node in prompt.items()}


def checked(nodes: Mapping[str, Node], lists: Lists, targets: Sequence[str] | None = None) -> Graph:
    """The part of a graph that its outputs need, checked.

    Args:
        nodes: All nodes.
        lists: What is installed.
        targets: The output nodes that are wanted; None for all.

    Raises `GraphRefused`.
    """
    outputs = [each.id for each in nodes.values() if each.known.saves and (targets is None or each.id in targets)]
    if not outputs:
        raise GraphRefused("prompt_no_outputs", "Prompt has no outputs", "add a SaveImage or a PreviewImage")
    order = _order(nodes, outputs)
    problems: list[Problem] = []
    inputs = {node.id: _inputs(node, nodes, lists, problems) for node in order}
    if problems:
        raise failed(problems, {node.id: node.class_name for node in order})
    return Graph(order, inputs, outputs)


def _node(node_id: str, node: object) -> Node:
    if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
        message = "Cannot execute because a node is missing the class_type property."
        raise GraphRefused("invalid_prompt", message, f"Node ID '#{node_id}'", facts={"node_id": node_id})
    class_name, inputs = node["class_type"], node.get("inputs", {})
    if class_name not in KNOWN or not isinstance(inputs, dict):
        raise _unknown(node_id, class_name, node)
    return Node(node_id, class_name, inputs)


def _unknown(node_id: str, class_name: str, node: Mapping[str, Any]) -> GraphRefused:
    meta = node.get("_meta")
    title = str(meta.get("title", class_name)) if isinstance(meta, dict) else class_name
    message = f"Cannot execute because node {class_name} does not exist."
    details = f"Node ID '#{node_id}', class '{class_name}': this server draws no graph with it; GET /object_info lists"
    details += " what it knows"
    facts = {"node_id": node_id, "class_type": class_name, "node_title": title}
    problem = Problem(node_id, "invalid_prompt", message, details, facts)
    return GraphRefused("invalid_prompt", message, details, [problem], facts)


def _order(nodes: Mapping[str, Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that the outputs need, each after what it needs. Raises `GraphRefused` for a circle."""
    needed: dict[str, list[str]] = {}
    waiting = list(outputs)
    while waiting:
        node_id = waiting.pop()
        if node_id not in needed:
            needed[node_id] = [link.node for link in _links(nodes[node_id]) if link.node in nodes]
            waiting += needed[node_id]
    try:
        return [nodes[node_id] for node_id in TopologicalSorter(needed).static_order()]
    except CycleError as error:
        node_id = str(error.args[1][0])
        problem = Problem(node_id, "dependency_cycle", "Dependency cycle detected", " -> ".join(error.args[1]))
        raise failed([problem], {node_id: nodes[node_id].class_name}) from None


def _links(node: Node) -> Iterator[Link]:
    for name in node.known.inputs:
        if (link := link_of(node.inputs.get(name))) is not None:
            yield link


def link_of(value: object) -> Link | None:
    """What a value links to; None for one that is no link."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int:
        return Link(str(value[0]), value[1])
    return None


def _inputs(node: Node, nodes: Mapping[str, Node], lists: Lists, problems: list[Problem]) -> dict[str, Any]:
    """The inputs of a node, values in their types; what is wrong with them goes to `problems`."""
    found: dict[str, Any] = {}
    for name, wanted in node.known.inputs.items():
        if name not in node.inputs:
            if wanted.default is not None and not wanted.is_link and node.known.saves:
                found[name] = wanted.default
            elif not wanted.optional:
                problems.append(
                    Problem(node.id, "required_input_missing", "Required input is missing", name, {"input_name": name})
                )
            continue
        check = _Check(node.id, name, wanted, lists)
        given = node.inputs[name]
        linked = link_of(given)
        outcome = check.link(linked, nodes) if wanted.is_link or linked is not None else check.value(given)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            found[name] = outcome
    return found


@dataclass(frozen=True, slots=True)
class _Check:
    """One input of one node."""

    node: str
    name: str
    wanted: Input
    lists: Lists

    def link(self, link: Link | None, nodes: Mapping[str, Node]) -> Link | Problem:
        if link is None or link.node not in nodes:
            words = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return self._problem("bad_linked_input", words, self.name)
        given = list(nodes[link.node].known.outputs.values())
        received = given[link.slot] if 0 <= link.slot < len(given) else "nothing"
        if received == self.wanted.kind:
            return link
        details = f"{self.name}, received_type({received}) mismatch input_type({self.wanted.kind})"
        return self._problem("return_type_mismatch", "Return type mismatch between linked nodes", details)

    def value(self, given: object) -> Any:
        if self.wanted.kind == "COMBO":
            return self._chosen(given)
        try:
            value = _CONVERTED[self.wanted.kind](given)
        except (ValueError, TypeError, OverflowError) as error:
            message = f"Failed to convert an input value to a {self.wanted.kind} value"
            return self._problem("invalid_input_type", message, f"{self.name}, {_short(given)}, {error}", given)
        return self._in_bounds(value)

    def _in_bounds(self, value: Any) -> Any:
        low, high = self.wanted.minimum, self.wanted.maximum
        if low is not None and value < low:
            return self._problem("value_smaller_than_min", f"Value {value} smaller than min of {low}", self.name, value)
        if high is not None and value > high:
            return self._problem("value_bigger_than_max", f"Value {value} bigger than max of {high}", self.name, value)
        return value

    def _chosen(self, given: object) -> Any:
        if self.wanted.lenient and isinstance(given, str):
            return given
        listed = self.wanted.listed
        values = list(self.wanted.choices) if listed is None else self.lists.values(listed)
        meant = self.lists.meaning(listed, given) if listed and isinstance(given, str) else None
        if meant is not None or given in values:
            return given if meant is None else meant
        details = f"{self.name}: '{_short(given)}' not in {values if len(values) <= 20 else '(a longer list)'}"
        return self._problem("value_not_in_list", "Value not in list", details, given)

    def _problem(self, kind: str, message: str, details: str, received: object = None) -> Problem:
        facts = {"input_name": self.name, "input_config": described_input(self.wanted, self.lists)}
        if received is not None:
            facts["received_value"] = _short(received)
        return Problem(self.node, kind, message, details, facts)


def _finite(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError("not a finite number")
    return found


def _words(value: object) -> str:
    if isinstance(value, dict | list):
        raise TypeError("not a string")
    return str(value)


_CONVERTED: Mapping[str, Any] = {"INT": int, "FLOAT": _finite, "STRING": _words, "BOOLEAN": bool}


def _short(value: object) -> Any:
    """A value that was sent, as an answer repeats it."""
    return value if isinstance(value, int | float | bool) and abs(value) < 2**64 else str(value)[:200]
