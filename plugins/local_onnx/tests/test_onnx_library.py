"""Folders of graphs: each called by its own name and looked at for itself, and drawn with as it lies on disk now."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import ByName, ModelInfo, ModelNotAvailable, decode_png
from visioncraft_local_onnx.generator import LocalOnnx

WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
Make = Callable[..., LocalOnnx]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models-onnx"


def copied(target: Path) -> Path:
    return Path(shutil.copytree(WEIGHTS, target, copy_function=os.link))


def called(local: LocalOnnx, name: str) -> ModelInfo:
    found = ByName(local.models()).get(name)
    assert found is not None, name
    return found


@pytest.mark.parametrize(
    "names", [("dreamshaper_8", "dreamshaper-8", "DreamShaper 8"), ("模型甲", "模型乙"), ("a/ink", "b/ink", "ink")]
)
def test_folders_are_models_under_their_own_names_however_alike(
    generator_for: Make, models: Path, names: tuple[str, ...]
) -> None:
    folders = {name: str(copied(models / f"{name}")) for name in names if "/" in name}
    folders |= {name: str(copied(models / name)) for name in names if "/" not in name}
    local = generator_for()
    assert {name: called(local, name).source for name in names} == folders
    assert {called(local, name).name for name in names} == set(names)
    assert len({info.id for info in local.models()}) == len(names)


def test_the_name_of_a_table_in_settings_hides_the_folder_of_that_name_alone(generator_for: Make, models: Path) -> None:
    for name in ("dreamshaper_8", "dreamshaper-8"):
        copied(models / name)
    local = generator_for(models={"dreamshaper_8": {"path": str(WEIGHTS)}})
    assert {info.source for info in local.models()} == {str(WEIGHTS), str(models / "dreamshaper-8")}


ODD: dict[str, Callable[[Path], Any]] = {
    "fifo": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "ring": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "lie": lambda path: path.write_text(json.dumps({"block_out_channels": "wide", "beta_schedule": [5]})),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["unet/config.json", "scheduler/scheduler_config.json", "unet/model.onnx"])
def test_what_is_odd_in_a_folder_costs_its_own_model_alone(
    generator_for: Make, models: Path, recorder: Any, ask: Any, kind: str, name: str
) -> None:
    copied(models / "good")
    file = copied(models / "bad") / name
    file.unlink()
    ODD[kind](file)
    local = generator_for()
    assert called(local, "good").available
    with pytest.raises(ModelNotAvailable) as caught:
        local.load(called(local, "bad"), recorder())
    assert name in str(caught.value.details["suggestion"])


@pytest.mark.timeout(60)
def test_bystanders_in_a_folder_are_none_of_the_models(generator_for: Make, models: Path, recorder: Any) -> None:
    folder = copied(models / "ink")
    os.mkfifo(folder / "unet" / "x.json")
    os.mkfifo(folder / "unet" / "weights")
    for part in ("", "unet", "vae", "tokenizer"):
        (folder / part / "._config.json").write_bytes(b"\x00\x05\x16\x07")
    local = generator_for()
    local.load(called(local, "ink"), recorder())
    assert local.status().loaded_models == ["ink"]


def test_graphs_that_were_replaced_draw_and_those_that_are_gone_do_not(
    generator_for: Make, models: Path, recorder: Any, ask: Any
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = copied(models / "ink")
    local = generator_for()
    request = ask(folder)
    first = decode_png(local.run(request, recorder()).png)
    assert (decode_png(local.run(request, recorder()).png) == first).all()
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    facts, weights = file.stat(), load_file(file)
    save_file({name: values * np.float16(0.9) for name, values in weights.items()}, folder / "new", {"format": "pt"})
    assert (folder / "new").stat().st_size == facts.st_size
    os.utime(folder / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (folder / "new").replace(file)
    assert (decode_png(local.run(request, recorder()).png) != first).any()
    shutil.rmtree(folder)
    with pytest.raises(ModelNotAvailable):
        local.run(request, recorder())
    assert local.status().loaded_models == []
