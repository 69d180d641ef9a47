"""How a class of nodes is described: what it takes, what it gives, and what that stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Listed = Literal[
    "checkpoints", "loras", "controlnet", "upscale_models", "vae", "text_encoders", "samplers", "schedulers", "images"
]
"""Values that depend on what is installed, and on what was uploaded."""

Widget = Literal["INT", "FLOAT", "STRING", "BOOLEAN"]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node.

    Args:
        kind: The type of what is linked to it, a widget's, or `COMBO` for one of several values.
        default: What frontends begin with.
        minimum: The least number.
        maximum: The greatest.
        step: Between two numbers in frontends.
        choices: The values of a `COMBO`.
        listed: Where the values of a `COMBO` come from in place of `choices`.
        lenient: Whether other values than the listed ones are taken: they do not change the image.
        optional: Whether it may be left out.
    """

    kind: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    listed: Listed | None = None
    lenient: bool = False
    optional: bool = False

    @property
    def is_link(self) -> bool:
        """Whether only another node can give it."""
        return self.kind not in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass(frozen=True, slots=True)
class Given:
    """What a node was given.

    Args:
        node: Its id.
        inputs: Its inputs by name: values of links, and widgets' values.
    """

    node: str
    inputs: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """One input; None for an optional one that is left out."""
        return self.inputs.get(name)


Build = Callable[[Given], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class NodeClass:
    """A class of nodes.

    Args:
        title: As frontends show it.
        category: Where menus have it.
        inputs: By name, in ComfyUI's order.
        outputs: The types of what it gives, by their names.
        build: Makes what it gives of what it is given. Raises `NodeRefused`.
        saves: Whether it is an output node, and which type its files are of.
        hidden: Hidden inputs, as frontends expect them.
    """

    title: str
    category: str
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    build: Build
    saves: Literal["output", "temp", "socket"] | None = None
    hidden: tuple[str, ...] = ()


def link(kind: str, optional: bool = False) -> Input:
    """An input that only another node can give."""
    return Input(kind, optional=optional)


def whole(default: int, minimum: int, maximum: int, step: int = 1) -> Input:
    """A whole number."""
    return Input("INT", default, minimum, maximum, step)


def number(default: float, minimum: float, maximum: float, step: float = 0.01) -> Input:
    """A number."""
    return Input("FLOAT", default, minimum, maximum, step)


def text(default: str = "") -> Input:
    """Words."""
    return Input("STRING", default)


def one_of(*choices: str) -> Input:
    """One of these; the first is what frontends begin with."""
    return Input("COMBO", choices[0], choices=choices)


def listed(kind: Listed, lenient: bool = False) -> Input:
    """One of what is installed or was uploaded."""
    return Input("COMBO", listed=kind, lenient=lenient)
