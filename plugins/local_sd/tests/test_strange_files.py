"""Files that lie, hang or lie about: each costs itself alone, with a reason, and a model's bystanders cost nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import ModelInfo, ModelNotAvailable
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
FIRST = "model.diffusion_model.input_blocks.0.0.weight"
PROBE = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
CONTROL = "control_model.a.attn2.to_k.weight"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    return folder


def header(tensors: dict[str, Any], data: int = 0) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(shape: list[Any], end: int = 4, dtype: str = "F32", start: int = 0) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


LIES = {
    "a shape of nothing": header({FIRST: tensor([])}, 4),
    "a shape of one axis": header({FIRST: tensor([4], 16)}, 16),
    "a probe of nothing": header({FIRST: tensor([1, 4, 1, 1], 16), PROBE: tensor([], 20, start=16)}, 20),
    "more than the file has": header({FIRST: tensor([320, 4, 3, 3], 2**40)}, 4),
    "sizes past every number": header({FIRST: tensor([2**63, 4, 3, 3], 4)}, 4),
    "a negative shape": header({FIRST: tensor([-1, 4, 3, 3], 4)}, 4),
    "offsets backwards": header({FIRST: tensor([1], 0, start=4)}, 4),
    "no such type": header({FIRST: tensor([1], 4, "F99")}, 4),
    "a list in the place of a tensor": header({FIRST: [1, 2]}, 4),
    "metadata that is no text": header({"__metadata__": {"a": {"b": 1}}, FIRST: tensor([1])}, 4),
    "brackets without end": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "a length past the file": struct.pack("<Q", 2**63) + b"{}",
    "a length of nothing": struct.pack("<Q", 0),
    "no text": struct.pack("<Q", 8) + b"\xff" * 8,
    "nothing": b"",
    "seven bytes": b"1234567",
}


def listed(local: LocalSD) -> dict[str, ModelInfo]:
    return {info.id: info for info in local.models()}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_costs_its_own_file_alone(generator_for: Make, models: Path, sd1: Path, lie: str) -> None:
    shutil.copytree(sd1, models / "good")
    (models / "bad.safetensors").write_bytes(LIES[lie])
    for folder in ("loras", "vaes", "embeddings", "controlnets", "upscalers"):
        (models / folder).mkdir()
        (models / folder / "bad.safetensors").write_bytes(LIES[lie])
    local = generator_for()
    found = listed(local)
    assert found["good"].available and not found["bad"].available
    assert "bad.safetensors" in str(found["bad"].suggestion)
    assert [part.trouble for part in local.parts() if "bad" not in part.trouble] == []


def test_a_controlnet_whose_probe_has_no_shape_is_listed_for_any_family(generator_for: Make, models: Path) -> None:
    (models / "controlnets").mkdir()
    marked = {"control_model.input_hint_block.0.weight": tensor([], 4), CONTROL: tensor([], 8, start=4)}
    (models / "controlnets" / "odd.safetensors").write_bytes(header(marked, 8))
    (part,) = generator_for().parts()
    assert (part.base, part.trouble) == ("", "")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(path.parent)  # an address has 108 bytes at most
        try:
            listening.bind(path.name)
        finally:
            os.chdir(here)


ODD: dict[str, Callable[[Path], Any]] = {
    "fifo": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "socket": a_socket,
    "ring": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("/no/such/file"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_regular_file_costs_its_own_model_alone(
    generator_for: Make, models: Path, sd1: Path, kind: str
) -> None:
    shutil.copytree(sd1, models / "good")
    ODD[kind](models / "odd.safetensors")
    for name in ("model_index.json", "unet/config.json", "vae/diffusion_pytorch_model.safetensors"):
        file = Path(shutil.copytree(sd1, models / f"bad-{Path(name).stem}")) / name
        file.unlink()
        ODD[kind](file)
    (models / "loras").mkdir()
    ODD[kind](models / "loras" / "odd.safetensors")
    local = generator_for()
    found = listed(local)
    assert [name for name, info in found.items() if info.available] == ["good"]
    if kind != "folder":
        assert "odd.safetensors" in str(found["odd"].suggestion)
    assert [part.id for part in local.parts() if not part.trouble] == []


@pytest.mark.parametrize("bad", [b"\xff.safetensors", b"\xff/model_index.json"])
def test_a_name_that_is_no_text_is_told_and_can_be_sent(generator_for: Make, models: Path, bad: bytes) -> None:
    file = models / os.fsdecode(bad)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    infos = [info for info in generator_for().models() if "udcff" in info.id]
    assert ["rename it" in str(info.suggestion) for info in infos] == [True]
    assert all(str(field).encode() for field in (infos[0].name, infos[0].source, *infos[0].aliases))


@pytest.mark.timeout(20)
def test_a_reference_in_the_hub_cache_that_is_no_file_is_not_waited_for(generator_for: Make, tmp_path: Path) -> None:
    refs = tmp_path / "hf" / "models--stable-diffusion-v1-5--stable-diffusion-v1-5" / "refs"
    refs.mkdir(parents=True)
    os.mkfifo(refs / "main")
    assert not listed(generator_for())["stable-diffusion-1.5"].available


def beside(folder: Path, *names: str) -> None:
    for part in ("", "unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        for name in names:
            (folder / part / name).write_bytes(bytes.fromhex("00051607") + bytes(200))


@pytest.mark.timeout(120)
def test_bystanders_in_a_folder_are_none_of_the_models(
    local: LocalSD, copy_of_sd1: Path, ask: Any, recorder: Any
) -> None:
    beside(copy_of_sd1, "._config.json", "._model_index.json", "._diffusion_pytorch_model.safetensors", ".DS_Store")
    beside(copy_of_sd1, "Thumbs.db", "desktop.ini", "model.safetensors.part", "NOTICE", "notes.json")
    beside(copy_of_sd1, "._merges.txt", "x.safetensors.index.json.crdownload")
    os.mkfifo(copy_of_sd1 / "unet" / "x.json")
    (copy_of_sd1 / "vae" / "y.json").symlink_to("/dev/zero")
    (copy_of_sd1 / "safety_checker").mkdir()
    (copy_of_sd1 / "safety_checker" / "config.json").write_bytes(b"{")
    assert local.run(ask(copy_of_sd1, model_id="beside"), recorder()).width == 64


@pytest.mark.parametrize("variants", [("bf16",) * 3, ("fp16",) * 3, ("bf16", "", "fp16"), ("ema_only", "fp32", "")])
def test_weights_of_any_variant_draw_whatever_else_lies_there(
    generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any, variants: tuple[str, ...]
) -> None:
    parts = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")
    for part, variant in zip(parts, variants, strict=True):
        file = copy_of_sd1 / f"{part}.safetensors"
        file.rename(file.with_suffix(f".{variant}.safetensors" if variant else ".safetensors"))
        (file.parent / "NOTICE").write_text("whose it is")
    assert generator_for().run(ask(copy_of_sd1), recorder()).width == 64


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_weights_in_shards_draw_and_are_refused_where_one_is_missing(
    generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any, variant: str
) -> None:
    shards = sharded(copy_of_sd1 / "unet" / "diffusion_pytorch_model.safetensors", variant)
    local = generator_for()
    assert local.run(ask(copy_of_sd1), recorder()).width == 64
    shards[0].unlink()
    with pytest.raises(ModelNotAvailable) as caught:
        local.run(ask(copy_of_sd1), recorder())
    assert "unet: 1 of 2 files" in str(caught.value.details["suggestion"])


def sharded(file: Path, variant: str) -> list[Path]:
    """Put a file's weights into two, with the index that diffusers writes."""
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    infix, names = f".{variant}" if variant else "", sorted(weights)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    shards = [file.with_name(f"{file.stem}{infix}-0000{number}-of-00002.safetensors") for number in (1, 2)]
    for shard, half in zip(shards, halves, strict=True):
        save_file({name: weights[name] for name in half}, shard, {"format": "pt"})
    mapped = {name: shard.name for shard, half in zip(shards, halves, strict=True) for name in half}
    index = file.with_name(f"{file.name}.index{infix}.json")
    index.write_text(json.dumps({"metadata": {"total_size": file.stat().st_size}, "weight_map": mapped}))
    file.unlink()
    return shards


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_whose_weights_are_not_all_there_is_refused_when_it_loads(
    generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any, part: str
) -> None:
    from safetensors.torch import load_file, save_file

    file = next((copy_of_sd1 / part).glob("*.safetensors"))
    weights = load_file(file)
    del weights[max(weights, key=lambda name: weights[name].numel())]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelNotAvailable) as caught:
        generator_for().run(ask(copy_of_sd1), recorder())
    assert "spoiled is no whole Stable Diffusion 1.x model" in str(caught.value.details["suggestion"])


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("unet/config.json", {"block_out_channels": 5}),
        ("vae/config.json", {"block_out_channels": "wide"}),
        ("unet/config.json", {"cross_attention_dim": {"a": 1}}),
        ("unet/config.json", {"in_channels": []}),
        ("unet/config.json", {"down_block_types": ["NoSuchBlock"]}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "no such"}),
        ("text_encoder/config.json", {"hidden_size": "wide"}),
    ],
)
def test_a_configuration_that_lies_is_refused_by_the_models_name(
    generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any, file: str, changes: dict[str, Any]
) -> None:
    config = copy_of_sd1 / file
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    with pytest.raises(ModelNotAvailable) as caught:
        generator_for().run(ask(copy_of_sd1), recorder())
    suggestion = str(caught.value.details["suggestion"])
    assert "spoiled" in suggestion or file in suggestion
