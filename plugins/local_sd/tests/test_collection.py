"""Weights as files: told apart by their contents, copied among the models, shown with hashes, removed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from visioncraft import InvalidRequest, JobCancelled, ModelInfo, ModelKeeper, NotFound
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings
from visioncraft_local_sd.weights import recognise as kinds
from visioncraft_local_sd.weights.files import Collection
from visioncraft_local_sd.weights.models import Library
from visioncraft_local_sd.weights.recognise import recognise
from visioncraft_local_sd.weights.safety import CheckpointRefused

Make = Callable[..., LocalSD]
KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"
WHOLE = {FIRST: (320, 4, 3, 3), "first_stage_model.x": (1,), "cond_stage_model.x": (1,)}

PARTS: Mapping[str, tuple[Mapping[str, tuple[int, ...]], tuple[str, str, str]]] = {
    "kohya": ({KOHYA: (4, 768)}, ("lora", "sd1", "")),
    "peft": ({PEFT: (4, 1024)}, ("lora", "sd2", "")),
    "peft-xl": ({PEFT: (4, 2048)}, ("lora", "sdxl", "")),
    "kohya-xl": ({"lora_te2_text_model_x.lora_down.weight": (4, 1280)}, ("lora", "sdxl", "")),
    "lokr": ({"lora_unet_x.lokr_w1": (4, 4)}, ("lora", "", "LoKr")),
    "controlnet": ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, ("controlnet", "", "")),
    "original-controlnet": (
        {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.a.attn2.to_k.weight": (320, 768)},
        ("controlnet", "sd1", ""),
    ),
    "embedding": ({"emb_params": (3, 768)}, ("embedding", "sd1", "")),
    "diffusers-embedding": ({"<cat>": (768,)}, ("embedding", "sd1", "")),
    "xl-embedding": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, ("embedding", "sdxl", "")),
    "vae": ({"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)}, ("vae", "", "")),
    "esrgan": ({"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.x": (1,)}, ("upscaler", "", "")),
    "compact": ({"params_ema.body.0.weight": (64, 3, 3, 3)}, ("upscaler", "", "")),
    "sd1": (WHOLE, ("checkpoint", "sd1", "")),
    "sd1-inpainting": ({**WHOLE, FIRST: (320, 9, 3, 3)}, ("checkpoint", "sd1", "inpainting")),
    "sd2": (
        {**WHOLE, "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
        ("checkpoint", "sd2", ""),
    ),
    "sdxl": (
        {
            FIRST: (320, 4, 3, 3),
            "first_stage_model.x": (1,),
            "conditioner.embedders.0.x": (1,),
            "conditioner.embedders.1.model.ln_final.weight": (1280,),
        },
        ("checkpoint", "sdxl", ""),
    ),
}


def written(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, path)
    return path


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return written(tmp_path / "Red Ink v2.safetensors", {KOHYA: (4, 768)})


@pytest.mark.parametrize("name", PARTS)
def test_a_file_is_known_by_its_contents_and_not_by_its_name(tmp_path: Path, name: str) -> None:
    shapes, expected = PARTS[name]
    found = recognise(written(tmp_path / "model.safetensors", shapes))
    assert (found.kind, found.base, found.detail) == expected


def test_folders_are_known_by_what_their_configuration_says(sd1: Path, sdxl: Path, tmp_path: Path) -> None:
    assert (recognise(sd1).kind, recognise(sd1).base, recognise(sdxl).base) == ("checkpoint", "sd1", "sdxl")
    config = {"_class_name": "ControlNetModel", "cross_attention_dim": 768}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointRefused, match="in safetensors"):
        recognise(tmp_path)
    written(tmp_path / "diffusion_pytorch_model.safetensors", {"a": (1,)})
    assert (recognise(tmp_path).kind, recognise(tmp_path).base) == ("controlnet", "sd1")


@pytest.mark.parametrize("name", ["x.ckpt", "x.pt", "x.bin", "x.txt", "damaged.safetensors", "other.safetensors"])
def test_what_nothing_can_use_is_refused_and_leaves_nothing(
    generator_for: Make, recorder: Any, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_bytes(b"not weights")
    if name.startswith("other"):
        written(file, {"a": (2, 2), "b": (2, 2)})
    with pytest.raises(InvalidRequest) as caught:
        generator_for().add(file, None, recorder())
    assert caught.value.details["field"] == "path"
    assert not (tmp_path / "data").exists()


def test_a_lora_is_added_under_its_name_and_listed_as_a_part(
    generator_for: Make, recorder: Any, lora: Path, tmp_path: Path
) -> None:
    local, progress = generator_for(), recorder()
    assert isinstance(local, ModelKeeper)
    stored = local.add(lora, None, progress)
    assert (stored.id, stored.kind, stored.base) == ("red-ink-v2", "lora", "sd1")
    assert Path(stored.path) == tmp_path / "data" / "models" / "loras" / "red-ink-v2.safetensors"
    assert Path(stored.path).read_bytes() == lora.read_bytes() and lora.exists()
    assert progress.stages == ["copying"] and progress.steps[-1] == (1, 1)
    assert local.parts() == [stored]
    assert "red-ink-v2" not in {model.id for model in local.models()}, "it draws nothing by itself"


def test_a_file_that_goes_while_parts_are_looked_through_is_none_of_them(
    generator_for: Make, recorder: Any, lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = generator_for()
    kept = local.add(lora, "ink", recorder())
    going = written(tmp_path / "data" / "models" / "loras" / "ash.safetensors", {KOHYA: (4, 768)})

    def removed_meanwhile(path: Path) -> None:
        going.unlink(missing_ok=True)

    monkeypatch.setattr(kinds, "check_single_file", removed_meanwhile)
    assert local.parts() == [kept] and not going.exists()


def test_the_state_of_parts_is_told_though_a_file_in_their_folder_is_gone(tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    collection = Collection(Library(LocalSDSettings(), tmp_path / "data"))
    assert collection.state("lora", "vae") == frozenset()
    (models / "loras").mkdir(parents=True)
    written(models / "loras" / "ink.safetensors", {KOHYA: (4, 768)})
    with_ink = collection.state("lora", "vae")
    (models / "loras" / "gone.safetensors").symlink_to(tmp_path / "nowhere")  # listed, but not there to be looked at
    assert collection.state("lora", "vae") == with_ink != frozenset()
    (models / "loras" / "ink.safetensors").unlink()
    assert collection.state("lora", "vae") == frozenset()


def test_a_checkpoint_that_is_added_is_a_model_and_draws(
    generator_for: Make, recorder: Any, sd1: Path, ask: Any, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(sd1, tmp_path / "from elsewhere"))
    (source / "evil.py").write_text("code")
    (source / "unet" / "weights.bin").write_bytes(b"pickle")
    local = generator_for()
    stored = local.add(source, "painter", recorder())
    assert not {"evil.py", "unet/weights.bin"} & set(stored.files)
    (model,) = [model for model in local.models() if model.id == "painter"]
    assert model.available and local.run(ask(Path(stored.path)), recorder()).width == 64


def test_a_name_that_is_taken_is_refused_until_it_is_removed(generator_for: Make, recorder: Any, lora: Path) -> None:
    local = generator_for()
    local.add(lora, "ink", recorder())
    with pytest.raises(InvalidRequest, match="There is a 'ink' already"):
        local.add(lora, "Ink", recorder())
    local.remove("INK", None)
    assert local.parts() == []
    assert local.add(lora, "ink", recorder()).id == "ink"


def test_a_copy_that_is_cancelled_leaves_nothing(
    generator_for: Make, recorder: Any, lora: Path, tmp_path: Path
) -> None:
    with pytest.raises(JobCancelled):
        generator_for().add(lora, None, recorder(cancel_at_step=1))
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_model_is_shown_with_the_size_and_the_hash_of_every_file(
    generator_for: Make, recorder: Any, sd1: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sd1, tmp_path / "data" / "models" / "painter"))
    shown = generator_for().inspect("Painter", None, recorder())
    assert (shown.kind, shown.base, shown.path) == ("checkpoint", "sd1", str(folder))
    for name, digest in shown.sha256.items():
        content = (folder / name).read_bytes()
        assert (shown.files[name], digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert set(shown.files) == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert shown.size == sum(shown.files.values())


def test_a_model_of_another_plugin_is_shown_and_not_removed(generator_for: Make, recorder: Any, sd1: Path) -> None:
    other = ModelInfo(id="theirs", name="Theirs", engine="diffusers", source=str(sd1))
    assert generator_for().inspect("theirs", other, recorder()).path == str(sd1)
    with pytest.raises(InvalidRequest) as caught:
        generator_for().remove("theirs", other)
    assert "belongs to a plugin" in str(caught.value.details["issue"]) and sd1.is_dir()


def test_a_model_that_settings_name_is_not_removed(generator_for: Make, sd1: Path) -> None:
    local = generator_for(models={"painter": {"path": str(sd1)}})
    with pytest.raises(InvalidRequest) as caught:
        local.remove("painter", None)
    assert "plugins.config.local_sd.models" in str(caught.value.details["issue"]) and sd1.is_dir()


def test_stable_diffusion_leaves_the_cache_whole(generator_for: Make, sd1: Path, tmp_path: Path) -> None:
    root = tmp_path / "hf" / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0123abc")
    shutil.copytree(sd1, root / "snapshots" / "0123abc")
    local = generator_for()
    assert local.remove("stable-diffusion-1.5", None).size > 0
    assert not root.exists() and (tmp_path / "hf").is_dir()


@pytest.mark.parametrize("name", ["absent", "../x", "", "/etc"])
def test_what_is_not_there_is_said_so(generator_for: Make, recorder: Any, name: str) -> None:
    with pytest.raises(NotFound, match="see `visioncraft models`"):
        generator_for().inspect(name, None, recorder())
    with pytest.raises(NotFound):
        generator_for().remove(name, None)
