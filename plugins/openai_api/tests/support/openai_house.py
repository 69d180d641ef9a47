"""Houses that speak the dialect, with engines that draw at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import ROOT, SUPPORT, House

PALETTE = ROOT / "examples" / "visioncraft-palette"


def openai_house(folder: Path, **tables: dict[str, Any]) -> House:
    """One with the fake engine, and with an engine that has a parameter of its own."""
    plugins = {
        "enabled": ["fake_engine", "gallery_fs", "openai_api", "visioncraft_palette"],
        "trusted": ["fake_engine", "visioncraft_palette"],
    }
    tables = {"plugins": plugins, "jobs": {"capacity": 2}, "": {"default_model": "fake"}, **tables}
    house = House(folder, {**tables}, path=[SUPPORT, PALETTE])
    house.install("visioncraft-fake-engine", "fake_engine")
    house.install("visioncraft-palette", "visioncraft_palette")
    return house
