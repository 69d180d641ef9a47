"""What several files of these tests share."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from points import Point
from toy import TOY, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.install("toy", TOY)
    return made


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Point:
    """Writes a module and gives the entry point that loads it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> EntryPoint:
        module = f"vc_test_{tmp_path.name}_{name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        return EntryPoint(name, module, "visioncraft")

    return make
