"""What was measured is kept in a note for the next start; without the note only measuring is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.weights.checkpoints import Checkpoint, read_checkpoint


@pytest.fixture
def checkpoint(sd1: Path) -> Checkpoint:
    return read_checkpoint(sd1)


def test_what_was_measured_is_there_after_a_restart_for_that_checkpoint_and_device_alone(
    checkpoint: Checkpoint, sdxl: Path, tmp_path: Path
) -> None:
    note = tmp_path / "data" / "precision.json"
    Measurements(note, checkpoint, "cpu").put("rows of 8x8 in fp32", "4")
    assert Measurements(note, checkpoint, "cpu").get("rows of 8x8 in fp32") == "4"
    assert Measurements(note, checkpoint, "cpu").get("rows of 8x8 in bf16") is None
    assert Measurements(note, read_checkpoint(sdxl), "cpu").get("rows of 8x8 in fp32") is None


@pytest.mark.parametrize("damage", ["{not json", "[]", '{"a": 1}', "[" * 100_000])
def test_a_damaged_note_is_taken_for_an_empty_one_and_written_anew(
    checkpoint: Checkpoint, tmp_path: Path, damage: str
) -> None:
    (note := tmp_path / "precision.json").write_text(damage)
    choices = Measurements(note, checkpoint, "cpu")
    assert choices.get("rows") is None
    choices.put("rows", "4")
    assert choices.get("rows") == "4"


def test_a_note_that_cannot_be_written_is_only_logged(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (note := tmp_path / "precision.json").mkdir()
    Measurements(note, checkpoint, "cpu").put("rows", "4")
    assert "could not be kept" in caplog.text
    assert [entry.name for entry in tmp_path.iterdir()] == ["precision.json"]
