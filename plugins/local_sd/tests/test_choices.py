"""What was measured holds after a restart, so that a seed draws the same picture again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft_local_sd import precision
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """bf16 wins the first measurement, fp32 every later one; the list counts them."""
    measured: list[str] = []

    def prefers_bf16(name: str, module: Any, probe: Any) -> bool:
        measured.append(name)
        return len(measured) <= 2

    monkeypatch.setattr(precision, "_prefers_bf16", prefers_bf16)
    return measured


def test_a_restart_does_not_measure_again_and_draws_the_same_picture(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, once: list[str]
) -> None:
    first, second = (generator_for(dtype="auto").run(ask(sd1), recorder()) for _ in range(2))
    assert once == ["unet", "vae"]
    assert first.facts["dtype"] == second.facts["dtype"] == "bf16"
    assert first.png == second.png


@pytest.mark.parametrize("damage", ["{not json", "[]", '{"a": 1}'])
def test_a_damaged_note_costs_a_measurement_and_nothing_else(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, once: list[str], tmp_path: Path, damage: str
) -> None:
    note = tmp_path / "data" / "precision.json"
    note.parent.mkdir(exist_ok=True)
    note.write_text(damage)
    assert generator_for(dtype="auto").run(ask(sd1), recorder()).facts["dtype"] == "bf16"
    assert once == ["unet", "vae"]


def test_a_note_that_cannot_be_written_is_only_logged(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, once: list[str], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "precision.json").mkdir()
    assert generator_for(dtype="auto").run(ask(sd1), recorder()).facts["dtype"] == "bf16"
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["precision.json"]


def test_another_precision_of_the_users_own_is_not_remembered(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, once: list[str], tmp_path: Path
) -> None:
    assert generator_for(dtype="fp32").run(ask(sd1), recorder()).facts["dtype"] == "fp32"
    assert once == []
    assert not (tmp_path / "data" / "precision.json").exists()
