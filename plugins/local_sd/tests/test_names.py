"""Models and parts are called as their files are, wherever these lie, and no file hides another."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from visioncraft import ByName, ModelInfo, ModelNotAvailable, NotFound
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
LORA: Mapping[str, tuple[int, ...]] = {"lora_unet_x.lora_down.weight": (1, 1)}
WHOLE: Mapping[str, tuple[int, ...]] = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "first_stage_model.x": (1,),
    "cond_stage_model.x": (1,),
}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def written(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, path, metadata)
    return path


def called(local: LocalSD, name: str) -> ModelInfo:
    found = ByName(local.models()).get(name)
    assert found is not None, name
    return found


def where(model: ModelInfo) -> Path:
    return Path(str(model.source))


@pytest.mark.parametrize(
    "names",
    [
        ("dreamshaper_8", "dreamshaper-8", "DreamShaper 8"),
        ("模型甲", "模型乙"),
        ("v1.5 (pruned)", "v1-5"),
        ("sd15/ink", "xl/ink", "ink"),
    ],
)
def test_files_are_models_under_their_own_names_however_alike(
    generator_for: Make, models: Path, names: tuple[str, ...]
) -> None:
    files = {name: written(models / f"{name}.safetensors", WHOLE) for name in names}
    local = generator_for()
    assert {name: where(called(local, name)) for name in names} == files
    assert {name: where(called(local, f"{name}.safetensors")) for name in names} == files
    assert {called(local, name).name for name in names} == set(names)
    assert len({info.id for info in local.models() if info.available}) == len(names)


def test_a_file_in_a_folder_has_its_name_alone_too_where_no_other_has_it(generator_for: Make, models: Path) -> None:
    file = written(models / "by-artist" / "case_inner.safetensors", WHOLE)
    local = generator_for()
    assert where(called(local, "case_inner")) == where(called(local, "by-artist/case_inner")) == file
    written(models / "another" / "case_inner.safetensors", WHOLE)
    assert ByName(local.models()).get("case_inner") is None, "which of the two is for nobody here to choose"


def test_a_file_and_a_folder_of_one_name_are_two_models(generator_for: Make, models: Path, sd1: Path) -> None:
    shutil.copytree(sd1, models / "painter")
    written(models / "painter.safetensors", WHOLE)
    local = generator_for()
    assert where(called(local, "painter")) == models / "painter"
    assert where(called(local, "painter.safetensors")) == models / "painter.safetensors"


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".CKPT"])
def test_a_pickle_hides_nothing_and_alone_is_told(generator_for: Make, models: Path, ending: str) -> None:
    written(models / "twin.safetensors", WHOLE)
    (models / f"twin{ending}").write_bytes(b"\x80\x02}q\x00.")
    (models / f"alone{ending}").write_bytes(b"\x80\x02}q\x00.")
    local = generator_for()
    assert called(local, "twin").available
    assert [info.id for info in local.models() if "twin" in info.id] == ["twin"]
    assert "convert it" in str(called(local, "alone").suggestion)


def test_folders_of_parts_hold_no_models(generator_for: Make, models: Path) -> None:
    for folder in ("loras", "LoRAs", "vaes", "taesd", ".pull"):
        written(models / folder / "deep" / "x.safetensors", WHOLE)
    assert [info.id for info in generator_for().models()] == ["stable-diffusion-1.5"]


def test_parts_are_found_in_folders_of_folders_by_every_name(generator_for: Make, models: Path) -> None:
    deep = written(models / "loras" / "style" / "Deep_Ink.safetensors", LORA)
    flat = written(models / "loras" / "deep-ink.SAFETENSORS", LORA)
    collection = generator_for()._collection
    assert {part.id for part in collection.parts()} == {"style-deep-ink", "deep-ink"}
    for name, file in (("style/Deep_Ink", deep), ("Deep_Ink", deep), ("deep-ink", flat), ("style-deep-ink", deep)):
        assert collection.part("lora", name).path == str(file)


def test_a_part_that_is_of_no_use_says_why_and_costs_no_other(generator_for: Make, models: Path) -> None:
    good = written(models / "loras" / "good.safetensors", LORA)
    (models / "loras" / "damaged.safetensors").write_bytes(b"x" * 500)
    (models / "loras" / "pickle.pt").write_bytes(b"\x80")
    written(models / "loras" / "whole.safetensors", WHOLE)
    (models / "loras" / "ring.safetensors").symlink_to("ring.safetensors")
    collection = generator_for()._collection
    assert [part.path for part in collection.parts() if not part.trouble] == [str(good)]
    for name, reason in (
        ("damaged", "damaged or no safetensors"),
        ("pickle", "convert it"),
        ("whole", "it is a checkpoint"),
    ):
        with pytest.raises(NotFound, match=reason):
            collection.part("lora", name)
    with pytest.raises(NotFound, match=r"known: good$"):
        collection.part("lora", "nobody")


@pytest.mark.parametrize("named", ["dreamshaper_8", "dreamshaper-8", "DREAMSHAPER_8"])
def test_a_table_in_settings_counts_under_every_name_of_its_model(
    generator_for: Make, models: Path, sd1: Path, ask: Any, recorder: Any, named: str
) -> None:
    folder = Path(shutil.copytree(sd1, models / "dreamshaper_8"))
    table = {"vae": "no-such-vae", "name": "Dreams", "description": "Dreams."}
    local = generator_for(models={named: table})
    info = called(local, "dreamshaper_8")
    assert (info.name, info.description, info.source) == ("Dreams", "Dreams.", str(folder))
    with pytest.raises(ModelNotAvailable) as caught:
        local.load(info, recorder())
    assert "no-such-vae" in str(caught.value.details["suggestion"])
    assert local.configured == {named}


def test_a_table_counts_for_the_one_of_two_that_is_called_so(generator_for: Make, models: Path) -> None:
    for name in ("dreamshaper_8", "dreamshaper-8"):
        written(models / f"{name}.safetensors", WHOLE)
    local = generator_for(models={"dreamshaper_8": {"name": "Low"}, "dreamshaper-8": {"name": "Dash"}})
    assert {where(info).stem: info.name for info in local.models() if info.available} == {
        "dreamshaper_8": "Low",
        "dreamshaper-8": "Dash",
    }


def test_a_textual_inversion_that_is_brought_in_keeps_its_word(
    generator_for: Make, recorder: Any, models: Path, tmp_path: Path
) -> None:
    words = written(tmp_path / "ng_deepnegative_v1_75t.safetensors", {"emb_params": (1, 768)})
    stored = generator_for().add(words, None, recorder())
    assert Path(stored.path) == models / "embeddings" / "ng_deepnegative_v1_75t.safetensors"
    assert stored.aliases[0] == "ng_deepnegative_v1_75t"


def test_what_the_maker_wrote_is_shown_and_obeyed(generator_for: Make, models: Path) -> None:
    told = {"modelspec.title": "Ink\n\x1b[2J  Wash", "modelspec.prediction_type": "v"}
    written(models / "ink.safetensors", WHOLE, told)
    local = generator_for()
    info = called(local, "ink")
    assert info.description == "A Stable Diffusion 1.x model, which its maker calls Ink [2J Wash"
    assert local._library.checkpoint(info).prediction_type == "v_prediction"
    overruled = generator_for(models={"ink": {"prediction_type": "epsilon"}})
    assert overruled._library.checkpoint(info).prediction_type == "epsilon"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"modelspec.prediction_type": "epsilon"}, "epsilon"),
        ({"modelspec.prediction_type": " V "}, "v_prediction"),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v"}, "v_prediction"),
        ({"modelspec.architecture": "stable-diffusion-v2-512"}, "epsilon"),
        ({"modelspec.prediction_type": ""}, None),
        ({}, None),
    ],
)
def test_a_prediction_is_read_as_the_specification_writes_it(
    generator_for: Make, models: Path, told: dict[str, str], expected: str | None
) -> None:
    written(models / "ink.safetensors", WHOLE, told)
    local = generator_for()
    assert local._library.checkpoint(called(local, "ink")).prediction_type == expected


def test_a_prediction_that_is_not_known_is_refused_with_the_setting_that_overrules_it(
    generator_for: Make, models: Path
) -> None:
    written(models / "ink.safetensors", WHOLE, {"modelspec.prediction_type": "flow"})
    info = called(generator_for(), "ink")
    assert not info.available
    assert "'flow'" in str(info.suggestion) and "prediction_type" in str(info.suggestion)
    assert called(generator_for(models={"ink": {"prediction_type": "epsilon"}}), "ink").available


def test_of_two_tables_for_one_model_the_second_is_told(
    generator_for: Make, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(models / "ink_wash.safetensors", WHOLE)
    local = generator_for(models={"ink_wash": {"name": "First"}, "ink-wash": {"name": "Second"}})
    assert called(local, "ink_wash").name == "First"
    assert "models.ink-wash counts for nothing: that of ink_wash is for the same model" in caplog.text
