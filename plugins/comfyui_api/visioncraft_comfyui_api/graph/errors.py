"""Why a graph is refused, in the form in which ComfyUI says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one node.

    Args:
        node: Its id.
        kind: ComfyUI's word for it, as `value_not_in_list`.
        message: A sentence for people.
        details: What in particular.
        facts: More for programs.
    """

    node: str
    kind: str
    message: str
    details: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """As an entry of `node_errors`."""
        return {"type": self.kind, "message": self.message, "details": self.details, "extra_info": dict(self.facts)}


class GraphRefused(Exception):
    """The graph as a whole is refused, before anything is queued.

    Args:
        kind: ComfyUI's word for why.
        message: A sentence for people.
        details: What in particular.
        problems: Of single nodes.
        facts: More for programs.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        details: str = "",
        problems: Sequence[Problem] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.details = kind, message, details
        self.problems, self.facts = problems, dict(facts or {})

    def document(self, classes: Mapping[str, str], outputs: Sequence[str]) -> dict[str, Any]:
        """What is answered.

        Args:
            classes: The class of each node.
            outputs: The output nodes, which wait for all others.
        """
        nodes: dict[str, Any] = {}
        for problem in self.problems:
            entry = {"errors": [], "dependent_outputs": list(outputs), "class_type": classes.get(problem.node, "")}
            nodes.setdefault(problem.node, entry)["errors"].append(problem.told())
        error = {"type": self.kind, "message": self.message, "details": self.details, "extra_info": self.facts}
        return {"error": error, "node_errors": nodes}


class NodeRefused(Exception):
    """A node cannot be drawn as it stands.

    Args:
        node: Its id.
        name: The input at fault; empty for the node as a whole.
        why: What is wrong and what would be right.
    """

    def __init__(self, node: str, name: str, why: str) -> None:
        super().__init__(why)
        self.node, self.name, self.why = node, name, why

    def problem(self) -> Problem:
        """As ComfyUI has it for checks that a node makes itself."""
        details = f"{self.name} - {self.why}" if self.name else self.why
        return Problem(
            self.node,
            "custom_validation_failed",
            "Custom validation failed for node",
            details,
            {"input_name": self.name},
        )


def failed(problems: Sequence[Problem], classes: Mapping[str, str]) -> GraphRefused:
    """The refusal of a graph for what is wrong with its nodes, each named with its class."""
    lines = [f"* {classes.get(each.node, '?')} {each.node}:\n  - {each.message}: {each.details}" for each in problems]
    kind = "prompt_outputs_failed_validation"
    return GraphRefused(kind, "Prompt outputs failed validation", "\n".join(lines), problems)
