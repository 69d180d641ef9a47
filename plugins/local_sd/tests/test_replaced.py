"""Weights that were put in the place of others draw the next picture, and weights that are gone draw none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import ModelNotAvailable, decode_png
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
