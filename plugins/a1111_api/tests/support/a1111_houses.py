"""The house of the tests here."""

from __future__ import annotations

from pathlib import Path

from harness import SUPPORT, House


def a1111_house(folder: Path, **tables: dict[str, object]) -> House:
    """A house that speaks the dialect, with an engine that draws at once."""
    plugins = {"enabled": ["fake_engine", "gallery_fs", "a1111_api"], "trusted": ["fake_engine"]}
    house = House(folder, {"plugins": plugins, "jobs": {"capacity": 2}, **tables}, path=[SUPPORT])
    house.install("visioncraft-fake-engine", "fake_engine")
    return house
