"""Which models there are, what families they are of, and how their configurations are read."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError
from visioncraft import FoundFile, Limits, ModelInfo, find_below
from visioncraft_diffusion.errors import ModelRefused
from visioncraft_diffusion.families import FAMILIES, family_of, family_of_context, family_of_word, limits_of
from visioncraft_diffusion.json_files import read_json
from visioncraft_diffusion.library import ModelEntry, ModelsFolder, models_path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two models, of which one lies deeper."""
    for name in ("ink", "deep/Dream_Shaper 8"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.bin").touch()
    return tmp_path


def folder_of(place: Path, entries: Mapping[str, ModelEntry] | None = None) -> ModelsFolder[ModelEntry]:
    def find(path: Path) -> list[FoundFile]:
        return list(find_below(path, lambda each, folder: folder and (each / "model.bin").exists()))

    return ModelsFolder("mine", place, entries or {}, "plugins.config.mine.models", find, logging.getLogger("mine"))


def test_models_in_a_folder_have_their_own_names_and_places(place: Path) -> None:
    found = {info.name: info for info in folder_of(place).models()}
    assert set(found) == {"ink", "deep/Dream_Shaper 8"}
    assert found["deep/Dream_Shaper 8"].source == str(place / "deep" / "Dream_Shaper 8")
    assert {info.engine for info in found.values()} == {"mine"}


def test_a_model_that_settings_name_hides_one_in_the_folder_and_both_hide_what_the_engine_knows(place: Path) -> None:
    folder = folder_of(place, {"ink": ModelEntry(path=Path("/elsewhere")), "dream": ModelEntry(name="Dream")})
    own = [ModelInfo(id=name, name="Own", engine="mine") for name in ("ink", "oil")]
    assert [(info.name, info.source) for info in folder.models(*own)] == [
        ("ink", "/elsewhere"),
        ("deep/Dream_Shaper 8", str(place / "deep" / "Dream_Shaper 8")),
        ("Own", None),
    ]
    assert (folder.named, folder.configured) == (frozenset({"ink"}), frozenset({"dream"}))


def test_of_two_tables_for_one_model_the_first_counts_and_the_other_is_warned_of_once(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(place, {"ink": ModelEntry(name="First"), "Ink": ModelEntry(name="Second")})
    for _ in range(2):
        assert [entry.name for entry in folder.entries_of(folder.models()).values()] == ["First"]
    assert caplog.messages == ["plugins.config.mine.models.Ink counts for nothing: that of ink is for the same model"]


def test_a_place_that_is_no_text_is_listed_as_not_available(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = place / os.fsdecode(b"\xff")
    odd.mkdir()
    (odd / "model.bin").touch()
    (bad,) = [info for info in folder_of(place).models() if not info.available]
    assert bad.source is None and bad.suggestion
    assert caplog.messages == [f"model '{bad.id}' is not available: {bad.suggestion}"]


def test_what_settings_say_of_a_model_stands_in_place_of_what_is_known() -> None:
    info = ModelInfo(id="a", name="a", engine="mine", description="Usual.", limits=Limits(size_multiple=64))
    entry = ModelEntry(name="A", steps=(1, 8), guidance_scale=(0.0, 2.0))
    described = entry.describe(info)
    assert (described.name, described.description) == ("A", "Usual.")
    assert described.limits == Limits((1, 8), (0.0, 2.0), size_multiple=64)
    assert ModelEntry().describe(info) == info


@pytest.mark.parametrize("said", [{"steps": (8, 1)}, {"steps": (0, 8)}, {"guidance_scale": (0.0, 101.0)}])
def test_limits_from_high_to_low_or_past_all_bounds_are_refused(said: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValidationError, match="within"):
        ModelEntry.model_validate(said)


def test_the_folder_of_models_lies_in_the_data_folder_unless_settings_say_otherwise() -> None:
    assert models_path("auto", Path("/data"), "models") == Path("/data/models")
    assert models_path("mine", Path("/data"), "models") == Path("/data/mine")
    assert models_path("/srv/models", Path("/data"), "models") == Path("/srv/models")


def test_a_family_is_told_by_the_text_that_its_denoiser_reads() -> None:
    assert [family_of(False, width) for width in (768, 1024, None, 32)] == ["sd1", "sd2", "sd1", "sd1"]
    assert family_of(True, 2048) == family_of(True, 96) == "sdxl"
    assert [family_of_context(facts.context) for facts in FAMILIES.values()] == list(FAMILIES)
    assert [family_of_word(facts.word) for facts in FAMILIES.values()] == list(FAMILIES)
    assert family_of_context("768") == family_of_context(None) == family_of_word(5) == ""


def test_the_contracts_model_has_the_contracts_limits_and_any_other_its_familys() -> None:
    assert limits_of("Stable-Diffusion-1-5", "sd1") == Limits()
    assert limits_of("ink", "sdxl") == Limits((1, 150), (0.0, 30.0), max_resolution=(2048, 2048))


class Spoiled(ModelRefused):
    """What one engine calls it."""


@pytest.mark.parametrize(
    ("content", "issue"),
    [
        (None, "unet/config.json is missing; fetch it again"),
        (b"[]", "unet/config.json is not a readable JSON object; fetch it again"),
        (b"[" * 10**5, "unet/config.json is not a readable JSON object; fetch it again"),
        (b'{"a": \xff}', "unet/config.json is not a readable JSON object; fetch it again"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused_by_its_name(
    tmp_path: Path, content: bytes | None, issue: str
) -> None:
    file = tmp_path / "unet" / "config.json"
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Spoiled) as refused:
        read_json(file, Spoiled, "fetch it again")
    assert str(refused.value) == issue
