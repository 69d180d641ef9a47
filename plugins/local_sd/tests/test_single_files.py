"""Single `.safetensors` files in the original layout, made from the tiny folders by naming their tensors back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import save_sd1, save_sdxl
from visioncraft import decode_png
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.weights import checkpoints
from visioncraft_local_sd.weights.checkpoints import read_checkpoint

Make = Callable[..., LocalSD]
DenoiserCall = Callable[..., Any]


def pixels(image: Any) -> np.ndarray:
    return decode_png(image.png).astype(int)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SD 1.x with the tokenizer that single files are read with."""
    return save_sd1(tmp_path_factory.mktemp("whole") / "tiny-sd1", whole_tokenizer=True)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL with the tokenizers that single files are read with."""
    return save_sdxl(tmp_path_factory.mktemp("whole") / "tiny-sdxl", whole_tokenizer=True)


@pytest.fixture
def single_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Turn a folder into one `.safetensors` file in the original layout, with the package's configs made as tiny."""

    def convert(folder: Path) -> Path:
        from safetensors.torch import save_file

        family = "sdxl" if "xl" in folder.name else "sd1"
        configs = tmp_path / "configs"
        shutil.copytree(folder, configs / family, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer*"))
        monkeypatch.setattr(checkpoints, "_DATA", configs)
        path = tmp_path / f"{folder.name}-single.safetensors"
        save_file(original_layout(folder), path)
        return path

    return convert


def test_a_single_file_draws_what_its_folder_draws(
    local: LocalSD, sd1: Path, single_file: Callable[[Path], Path], ask: DenoiserCall, recorder: Any
) -> None:
    file = single_file(sd1)
    ours = pixels(local.run(ask(file, sampler="euler"), recorder()))
    assert np.abs(ours - pixels(local.run(ask(sd1, sampler="euler"), recorder()))).max() <= 1


def test_an_xl_single_file_draws_what_its_folder_draws(
    local: LocalSD, sdxl: Path, single_file: Callable[[Path], Path], ask: DenoiserCall, recorder: Any
) -> None:
    file = single_file(sdxl)
    ours = pixels(local.run(ask(file), recorder()))
    assert np.abs(ours - pixels(local.run(ask(sdxl), recorder()))).max() <= 1


def test_a_single_file_for_inpainting_reads_a_mask_as_its_folder_does(
    local: LocalSD, sd1: Path, single_file: Callable[[Path], Path], ask: DenoiserCall, recorder: Any, tmp_path: Path
) -> None:
    import diffusers
    import torch
    from visioncraft import encode_png
    from visioncraft.images.inputs import prepare, read

    folder = Path(shutil.copytree(sd1, tmp_path / "inpainting"))
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(folder / "unet"))
    unet.conv_in = torch.nn.Conv2d(9, unet.conv_in.out_channels, 3, padding=1)
    unet.register_to_config(in_channels=9)
    unet.save_pretrained(folder / "unet")
    file = single_file(folder)
    config = tmp_path / "configs" / "sd1" / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 4}))  # as the package has it
    assert read_checkpoint(file).inpaints and read_checkpoint(folder).inpaints

    picture = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    image, mask = prepare(read("init_image", picture), 64, 64), prepare(read("mask", picture), 64, 64, "mask")
    asked = {"init_image": image, "mask": mask, "strength": 1.0, "sampler": "euler"}
    ours = pixels(local.run(ask(file, **asked), recorder()))
    assert np.abs(ours - pixels(local.run(ask(folder, **asked), recorder()))).max() <= 1


def test_a_single_file_in_the_models_folder_is_listed_by_its_name(
    generator_for: Make, sd1: Path, single_file: Callable[[Path], Path], tmp_path: Path
) -> None:
    (tmp_path / "data" / "models").mkdir(parents=True)
    shutil.copy(single_file(sd1), tmp_path / "data" / "models" / "One File.safetensors")
    assert {info.id: info.available for info in generator_for().models()}["one-file"]


def test_what_a_single_file_predicts_can_be_said_in_settings(sd1: Path, single_file: Callable[[Path], Path]) -> None:
    file = single_file(sd1)
    assert read_checkpoint(file).prediction_type is None
    assert read_checkpoint(file, "v_prediction").prediction_type == "v_prediction"


def test_a_files_own_marks_of_v_prediction_and_zero_terminal_snr_are_obeyed(
    generator_for: Make, sdxl: Path, single_file: Callable[[Path], Path], ask: Any, recorder: Any
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    file = single_file(sdxl)
    save_file({**load_file(file), "v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}, file)
    local = generator_for()
    request = ask(file)
    local.load(request.model, recorder())
    with local._held(request.model, recorder()) as loaded:
        config = loaded.pipe.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", True)


def original_layout(folder: Path) -> dict[str, Any]:
    """The weights of a folder under the names that CompVis and Stability AI gave them."""
    from safetensors.torch import load_file

    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(folder / "text_encoder" / "model.safetensors")
    text = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in text.items()}
    first = "conditioner.embedders.0.transformer." if "xl" in folder.name else "cond_stage_model.transformer."
    state = {
        **{f"model.diffusion_model.{_unet_name(key)}": value for key, value in unet.items()},
        **_vae_state(vae),
        **{f"{first}{key}": value for key, value in text.items()},
    }
    if "xl" in folder.name:
        state |= _open_clip_state(load_file(folder / "text_encoder_2" / "model.safetensors"))
    return {key: value.contiguous() for key, value in state.items()}


def _rename(key: str, table: Mapping[str, str]) -> str:
    for pattern, name in table.items():
        key = re.sub(pattern, name, key)
    return key


def _unet_name(key: str) -> str:
    """For two levels of one layer, as `_unet` builds them."""
    if "resnets" in key:
        key = _rename(
            key,
            {
                r"\.norm1\.": ".in_layers.0.",
                r"\.conv1\.": ".in_layers.2.",
                r"\.norm2\.": ".out_layers.0.",
                r"\.conv2\.": ".out_layers.3.",
                r"time_emb_proj": "emb_layers.1",
                r"conv_shortcut": "skip_connection",
            },
        )
    table = {
        r"^conv_in\.": "input_blocks.0.0.",
        r"^conv_norm_out\.": "out.0.",
        r"^conv_out\.": "out.2.",
        r"^time_embedding\.linear_1": "time_embed.0",
        r"^time_embedding\.linear_2": "time_embed.2",
        r"^add_embedding\.linear_1": "label_emb.0.0",
        r"^add_embedding\.linear_2": "label_emb.0.2",
        r"^down_blocks\.0\.resnets\.0": "input_blocks.1.0",
        r"^down_blocks\.0\.attentions\.0": "input_blocks.1.1",
        r"^down_blocks\.0\.downsamplers\.0\.conv": "input_blocks.2.0.op",
        r"^down_blocks\.1\.resnets\.0": "input_blocks.3.0",
        r"^mid_block\.resnets\.0": "middle_block.0",
        r"^mid_block\.attentions\.0": "middle_block.1",
        r"^mid_block\.resnets\.1": "middle_block.2",
        r"^up_blocks\.0\.resnets\.(\d)": r"output_blocks.\1.0",
        r"^up_blocks\.0\.upsamplers\.0": "output_blocks.1.1",
        r"^up_blocks\.1\.resnets\.0": "output_blocks.2.0",
        r"^up_blocks\.1\.resnets\.1": "output_blocks.3.0",
        r"^up_blocks\.1\.attentions\.0": "output_blocks.2.1",
        r"^up_blocks\.1\.attentions\.1": "output_blocks.3.1",
    }
    return _rename(key, table)


def _vae_state(vae: Mapping[str, Any]) -> dict[str, Any]:
    table = {
        r"down_blocks\.(\d)\.resnets\.(\d)": r"down.\1.block.\2",
        r"down_blocks\.(\d)\.downsamplers\.0": r"down.\1.downsample",
        r"up_blocks\.(\d)\.resnets\.(\d)": lambda m: f"up.{3 - int(m[1])}.block.{m[2]}",
        r"up_blocks\.(\d)\.upsamplers\.0": lambda m: f"up.{3 - int(m[1])}.upsample",
        r"mid_block\.resnets\.(\d)": lambda m: f"mid.block_{int(m[1]) + 1}",
        r"mid_block\.attentions\.0": "mid.attn_1",
        r"group_norm": "norm",
        r"to_out\.0": "proj_out",
        r"to_([qkv])\.": r"\1.",
        r"conv_norm_out": "norm_out",
        r"conv_shortcut": "nin_shortcut",
    }
    state = {}
    for key, value in vae.items():
        name = _rename(key, table)  # type: ignore[arg-type]
        if "attn_1" in name and value.ndim == 2:
            value = value[:, :, None, None]
        state[f"first_stage_model.{name}"] = value
    return state


def _open_clip_state(text: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    prefix = "conditioner.embedders.1.model."
    table = {
        r"^text_model\.embeddings\.position_embedding\.weight": "positional_embedding",
        r"^text_model\.embeddings\.": "",
        r"^text_model\.final_layer_norm": "ln_final",
        r"^text_model\.encoder\.layers\.": "transformer.resblocks.",
        r"layer_norm(\d)": r"ln_\1",
        r"mlp\.fc1": "mlp.c_fc",
        r"mlp\.fc2": "mlp.c_proj",
        r"self_attn": "attn",
    }
    state: dict[str, Any] = {}
    for key, value in text.items():
        if "q_proj" in key:
            parts = [text[key.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            name = _rename(key, table).replace("q_proj.", "in_proj_")
            state[prefix + name] = torch.cat(parts)
        elif key == "text_projection.weight":
            state[f"{prefix}text_projection"] = value.T
        elif "k_proj" not in key and "v_proj" not in key:
            state[prefix + _rename(key, table)] = value
    return state
