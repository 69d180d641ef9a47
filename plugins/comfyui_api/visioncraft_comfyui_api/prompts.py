"""A prompt, as ComfyUI calls a graph that was sent to be drawn, and where it stands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
"""As `/api/jobs` has it."""


@dataclass(slots=True)
class Prompt:
    """One graph with its job.

    Args:
        id: ComfyUI's, which the client may have chosen.
        number: In the order of their coming; negative for one that was to come first.
        owner: The identity that sent it; empty where the server knows none.
        caller: Who takes turns in the queue.
        client_id: Whose sockets hear of it.
        job_id: The job behind it.
        digest: Of the graph, so that the same one is known again.
        classes: The class of each node, in the order in which they run.
        prefixes: The beginning of file names, by the output node.
        sampler: The node that progress is told of.
        state: Where it stands.
        created, started, ended: Seconds since 1970.
        outputs: What is answered of each output node.
        messages: What is told of it afterwards, as history has it.
        heard: Whether the client's socket was told of its end.
        at: How many of its nodes have been told of.
    """

    id: str
    number: int
    owner: str
    caller: str
    client_id: str
    job_id: str
    digest: str
    classes: Mapping[str, str]
    prefixes: Mapping[str, str]
    sampler: str
    state: State = "pending"
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    messages: list[list[Any]] = field(default_factory=list)
    heard: bool = False
    at: int = 0

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in ("completed", "failed", "cancelled")

    @property
    def in_history(self) -> bool:
        """Whether history has it: it has ended, and was not cancelled while it waited."""
        return self.over and (self.started is not None or self.state != "cancelled")

    @property
    def handed(self) -> set[str]:
        """The output nodes that hand their images over by the socket, and save none."""
        return {node for node in self.prefixes if self.classes[node] == "SaveImageWebsocket"}

    @property
    def output_nodes(self) -> Sequence[str]:
        """The nodes that save something."""
        return list(self.prefixes)

    def message(self, kind: str, **facts: Any) -> dict[str, Any]:
        """A message about it, which history keeps as well."""
        data = {**facts, "prompt_id": self.id, "timestamp": int(time.time() * 1000)}
        self.messages.append([kind, data])
        return {"type": kind, "data": data}
