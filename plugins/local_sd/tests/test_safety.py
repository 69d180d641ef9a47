"""Checkpoints that would run code, or lead out of their folder, are refused before anything of them loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import ModelNotAvailable
from visioncraft_local_sd.weights.checkpoints import read_checkpoint
from visioncraft_local_sd.weights.safety import CheckpointRefused


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt", ".pth", ".pkl"])
def test_a_pickle_is_refused_by_its_name_whatever_is_in_it(sd1: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    shutil.copy(sd1 / "unet" / "diffusion_pytorch_model.safetensors", file)
    with pytest.raises(CheckpointRefused, match=r"pickle.*convert it to \.safetensors"):
        read_checkpoint(file)


def test_a_folder_whose_weights_are_pickles_is_refused(copy_of_sd1: Path) -> None:
    weights = copy_of_sd1 / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(CheckpointRefused, match=r"unet/diffusion_pytorch_model\.bin is a pickle"):
        read_checkpoint(copy_of_sd1)


def test_a_pickle_beside_safetensors_is_never_opened(
    generator_for: Callable[..., Any], copy_of_sd1: Path, ask: Callable[..., Any], recorder: Any
) -> None:
    (copy_of_sd1 / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not even a pickle")
    (copy_of_sd1 / "text_encoder" / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert generator_for().run(ask(copy_of_sd1), recorder()).width == 64


@pytest.mark.parametrize(
    "component",
    [
        ["evil_module", "UNet2DConditionModel"],
        ["os", "system"],
        ["subprocess", "Popen"],
        ["unet.evil", "Evil"],
        ["diffusers", "DiffusionPipeline"],
        ["diffusers", "AutoencoderKL"],
        ["transformers", "AutoModel"],
        ["diffusers.utils", "x"],
        ["diffusers", None],
        [None, "Evil"],
        ["diffusers"],
        [["diffusers"], "UNet2DConditionModel"],
        {"library": "os"},
    ],
)
def test_a_component_outside_the_list_is_refused(copy_of_sd1: Path, component: Any) -> None:
    edit(copy_of_sd1 / "model_index.json", unet=component)
    with pytest.raises(CheckpointRefused, match=r"model_index\.json: unet"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize("name", ["extra", "../unet", "safety_checker"])
def test_further_components_cannot_bring_code(copy_of_sd1: Path, name: str) -> None:
    edit(copy_of_sd1 / "model_index.json", **{name: ["evil", "Evil"]})
    with pytest.raises(CheckpointRefused, match=r"model_index\.json"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize("pipeline", ["EvilPipeline", ["evil", "EvilPipeline"], None, "DiffusionPipeline", 3])
def test_a_pipeline_outside_the_list_is_refused(copy_of_sd1: Path, pipeline: Any) -> None:
    (copy_of_sd1 / "evil.py").write_text("raise SystemExit('remote code ran')")
    edit(copy_of_sd1 / "model_index.json", _class_name=pipeline)
    with pytest.raises(CheckpointRefused, match="pipeline"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModel": "evil.Evil"}),
        ("trust_remote_code", True),
        ("_attn_implementation", "someone/kernels"),
        ("attn_implementation", "someone/kernels@main"),
        ("quantization_config", {"quant_method": "evil"}),
    ],
)
@pytest.mark.parametrize("file", ["text_encoder/config.json", "unet/config.json", "tokenizer/tokenizer_config.json"])
def test_a_configuration_that_asks_for_code_is_refused(copy_of_sd1: Path, file: str, key: str, value: Any) -> None:
    edit(copy_of_sd1 / file, deep=[{key: value}])
    with pytest.raises(CheckpointRefused, match=key):
        read_checkpoint(copy_of_sd1)


def test_a_component_that_is_a_link_is_looked_into(copy_of_sd1: Path, tmp_path: Path) -> None:
    elsewhere = (copy_of_sd1 / "unet").rename(tmp_path / "elsewhere")
    (copy_of_sd1 / "unet").symlink_to(elsewhere, target_is_directory=True)
    assert read_checkpoint(copy_of_sd1).family == "sd1"
    edit(elsewhere / "config.json", auto_map={"AutoModel": "evil.Evil"})
    with pytest.raises(CheckpointRefused, match="auto_map"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize("shard", ["../../secret.safetensors", "/etc/passwd", "..\\x.safetensors", "evil.bin", 5])
def test_a_shard_index_cannot_lead_out_of_its_folder(copy_of_sd1: Path, shard: Any) -> None:
    index = copy_of_sd1 / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": shard}}))
    with pytest.raises(CheckpointRefused, match=r"is not a file beside it|is a pickle"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '{"a": NaN', "\udcff"])
def test_a_damaged_index_is_named(copy_of_sd1: Path, content: str) -> None:
    (copy_of_sd1 / "model_index.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointRefused, match=r"model_index\.json"):
        read_checkpoint(copy_of_sd1)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(copy_of_sd1: Path, part: str) -> None:
    shutil.rmtree(copy_of_sd1 / part)
    with pytest.raises(CheckpointRefused, match=part):
        read_checkpoint(copy_of_sd1)


def test_a_truncated_weights_file_is_named(copy_of_sd1: Path) -> None:
    weights = copy_of_sd1 / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointRefused, match=r"diffusion_pytorch_model\.safetensors is damaged.*fetch it again"):
        read_checkpoint(copy_of_sd1)


def test_a_lora_an_editing_and_a_partial_file_are_told_apart(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    first = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({"lora_unet_down.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    save_file({first: torch.zeros(32, 8, 3, 3)}, tmp_path / "edit.safetensors")
    save_file({first: torch.zeros(32, 4, 3, 3)}, tmp_path / "pruned.safetensors")
    for name, reason in (("lora", "not a Stable Diffusion"), ("edit", "by instruction"), ("pruned", "no vae")):
        with pytest.raises(CheckpointRefused, match=reason):
            read_checkpoint(tmp_path / f"{name}.safetensors")


def test_a_refused_checkpoint_reaches_the_client_as_a_model_that_is_not_available(
    generator_for: Callable[..., Any], copy_of_sd1: Path, ask: Callable[..., Any], recorder: Any
) -> None:
    edit(copy_of_sd1 / "model_index.json", unet=["os", "system"])
    with pytest.raises(ModelNotAvailable) as caught:
        generator_for().run(ask(copy_of_sd1), recorder())
    assert "would load code" in str(caught.value.details["suggestion"])
