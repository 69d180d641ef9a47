"""The concepts that the model learns, read from ``concepts.txt``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("concepts.txt")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "white", "brown", "gray", "golden")


@dataclass(frozen=True)
class Concept:
    """One picture and what people call it.

    Args:
        code: Code point of the emoji, or ``scene:<name>``.
        names: Plainest name first.
        hue: Degrees of the part that may be recoloured; None where recolouring makes no sense.
    """

    code: str
    names: tuple[str, ...]
    hue: float | None = None

    @property
    def plain_names(self) -> tuple[str, ...]:
        """Names without a colour of their own, to which one can be given; two at most."""
        free = [name for name in self.names if not set(name.split()) & set(COLOURS)]
        return tuple(free[:2])


def parse(line: str) -> Concept:
    """``code | name; name | hue``."""
    code, names, *hue = [part.strip() for part in line.split("|")]
    return Concept(code, tuple(name.strip() for name in names.split(";")), float(hue[0]) if hue else None)


@cache
def all_concepts() -> tuple[Concept, ...]:
    """Every concept, in the order of the table."""
    lines = TABLE.read_text("utf-8").splitlines()
    return tuple(parse(line) for line in lines if line.strip() and not line.startswith("#"))
