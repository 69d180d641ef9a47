"""Weights that were put in the place of others draw the next picture, and weights that are gone draw none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import Control, InvalidRequest, ModelNotAvailable, decode_png, encode_png
from visioncraft.images.inputs import prepare, read
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]


def pixels(image: Any) -> np.ndarray:
    return decode_png(image.png).astype(int)


def others(file: Path) -> None:
    """Put weights of the same shapes in a file's place, with the same size and time."""
    import torch
    from safetensors.torch import load_file, save_file

    facts, weights = file.stat(), load_file(file)
    torch.manual_seed(5)
    new = {key: torch.randn_like(value) * value.std().clamp(min=1e-3) for key, value in weights.items()}
    save_file(new, file.with_suffix(".new"), metadata={"format": "pt"})
    os.utime(file.with_suffix(".new"), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    file.with_suffix(".new").replace(file)


@pytest.mark.parametrize(
    "file",
    ["unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"],
)
def test_a_folders_weights_are_loaded_anew_where_they_are_others(
    generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any, file: str
) -> None:
    local, request = generator_for(), ask(copy_of_sd1)
    first = pixels(local.run(request, recorder()))
    assert (pixels(local.run(request, recorder())) == first).all() and local.status().loaded_models == ["spoiled"]
    others(copy_of_sd1 / file)
    assert (pixels(local.run(request, recorder())) != first).any()
    assert local.status().loaded_models == ["spoiled"], "the old one has left"


def test_a_model_that_is_deleted_draws_no_more(generator_for: Make, copy_of_sd1: Path, ask: Any, recorder: Any) -> None:
    local, request = generator_for(), ask(copy_of_sd1)
    local.run(request, recorder())
    shutil.rmtree(copy_of_sd1)
    with pytest.raises(ModelNotAvailable) as caught:
        local.run(request, recorder())
    assert "does not exist" in str(caught.value.details["suggestion"])
    assert local.status().loaded_models == []


def test_another_vae_of_the_name_in_settings_is_taken(
    generator_for: Make, sd1: Path, copy_of_sd1: Path, ask: Any, recorder: Any, tmp_path: Path
) -> None:
    vae = Path(shutil.copytree(sd1 / "vae", tmp_path / "data" / "models" / "vaes" / "soft"))
    local = generator_for(models={"spoiled": {"vae": "soft"}})
    request = ask(copy_of_sd1)
    first = pixels(local.run(request, recorder()))
    others(vae / "diffusion_pytorch_model.safetensors")
    assert (pixels(local.run(request, recorder())) != first).any()


def test_another_controlnet_of_a_name_is_followed_and_one_that_is_not_whole_is_refused(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, tmp_path: Path
) -> None:
    import diffusers
    import torch
    from safetensors.torch import load_file, save_file

    unet = diffusers.UNet2DConditionModel.from_pretrained(str(sd1 / "unet"))
    torch.manual_seed(3)
    network = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16))
    for parameter in network.controlnet_down_blocks.parameters():  # zero at birth: such a network says nothing
        torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path / "data" / "models" / "controlnets" / "edges"
    network.save_pretrained(folder)
    file = folder / "diffusion_pytorch_model.safetensors"
    file = file.rename(file.with_suffix(".bf16.safetensors"))
    (folder / "NOTICE").write_text("whose it is")
    image = prepare(read("controlnet.image", encode_png(np.zeros((64, 64, 3), np.uint8))), 64, 64)
    local, request = generator_for(), ask(sd1, controlnet=Control("edges", image, 1.0))
    first = pixels(local.run(request, recorder()))
    others(file)
    assert (pixels(local.run(request, recorder())) != first).any()
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(InvalidRequest) as caught:
        local.run(request, recorder())
    assert "edges" in str(caught.value.details["issue"])
