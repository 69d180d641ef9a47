"""The 200 held-back phrasings."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from visioncraft_mini.train.concepts import all_concepts

TABLE = Path(__file__).with_name("phrases.txt")


@dataclass(frozen=True)
class Phrase:
    """What a stranger might type, and the number of the concept that it asks for."""

    text: str
    concept: int


@cache
def all_phrases() -> tuple[Phrase, ...]:
    """Every phrase, in the order of the table; a name that is no concept's plainest one is a KeyError."""
    numbers = {concept.names[0]: number for number, concept in enumerate(all_concepts())}
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    parts = [[part.strip() for part in line.split("|")] for line in lines]
    return tuple(Phrase(text, numbers[name]) for name, text in parts)
