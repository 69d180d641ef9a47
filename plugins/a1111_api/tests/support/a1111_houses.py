"""The house of the tests here."""

from __future__ import annotations

from pathlib import Path

from harness import FAKES, House, fake_house


def a1111_house(folder: Path) -> House:
    """A house that speaks the dialect, with an engine that draws at once."""
    house = fake_house(folder)
    house.tables["plugins"] = {"enabled": [*FAKES, "a1111_api"], "trusted": ["fake_engine"]}
    return house
