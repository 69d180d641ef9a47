"""A VAE that was added draws in place of a model's own where settings say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import ModelNotAvailable, decode_png
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
DenoiserCall = Callable[..., Any]


@pytest.fixture
def other(sd1: Path, tmp_path: Path) -> Path:
    """The tiny SD 1.x with another VAE's weights: what a model with that VAE has to draw."""
    import diffusers
    import torch

    folder = Path(shutil.copytree(sd1, tmp_path / "other"))
    torch.manual_seed(5)
    kind: Any = diffusers.AutoencoderKL
    kind.from_config(kind.load_config(str(folder / "vae"))).save_pretrained(folder / "vae")
    return folder


def draws_with(local: LocalSD, weights: Path, named: str, ask: DenoiserCall, recorder: Any) -> Any:
    return local.run(ask(weights, model_id=named, sampler="euler"), recorder())


def pixels(image: Any) -> np.ndarray:
    return decode_png(image.png).astype(int)


def as_folder(folder: Path, tmp_path: Path) -> Path:
    return folder / "vae"


def as_file(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(folder / "vae" / "diffusion_pytorch_model.safetensors", tmp_path / "soft.safetensors"))


@pytest.mark.parametrize("form", [as_folder, as_file])
def test_a_model_draws_with_the_vae_that_settings_name(
    generator_for: Make,
    sd1: Path,
    other: Path,
    ask: DenoiserCall,
    recorder: Any,
    tmp_path: Path,
    form: Callable[..., Path],
) -> None:
    local = generator_for(models={"tiny": {"vae": "soft"}})
    stored = local.add(form(other, tmp_path), "soft", recorder())
    assert (stored.kind, stored.id) == ("vae", "soft")
    image = draws_with(local, sd1, "tiny", ask, recorder)
    expected = draws_with(local, other, "other", ask, recorder)
    own = draws_with(local, sd1, "plain", ask, recorder)
    assert np.abs(pixels(image) - pixels(expected)).max() <= 1
    assert np.abs(pixels(image) - pixels(own)).max() > 1
    assert (image.facts["vae"], "vae" in own.facts) == ("soft", False)


def test_a_vae_that_is_absent_is_named_with_those_there_are(
    generator_for: Make, sd1: Path, other: Path, ask: DenoiserCall, recorder: Any
) -> None:
    local = generator_for(models={"tiny": {"vae": "hard"}})
    local.add(other / "vae", "soft", recorder())
    with pytest.raises(ModelNotAvailable, match="tiny") as caught:
        draws_with(local, sd1, "tiny", ask, recorder)
    assert "No vae 'hard'; known: soft" in str(caught.value.details)


@pytest.mark.parametrize(
    "changes", [{"latent_channels": 16}, {"scaling_factor": 0.13025}, {"block_out_channels": [8, 16, 16]}]
)
def test_a_vae_of_another_family_is_refused(
    generator_for: Make, sd1: Path, other: Path, ask: DenoiserCall, recorder: Any, changes: Mapping[str, Any]
) -> None:
    import diffusers

    kind: Any = diffusers.AutoencoderKL
    config = {**kind.load_config(str(other / "vae")), **changes}
    if "block_out_channels" in changes:
        config |= {"down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3}
    kind.from_config(config).save_pretrained(other / "vae")
    local = generator_for(models={"tiny": {"vae": "alien"}})
    local.add(other / "vae", "alien", recorder())
    with pytest.raises(ModelNotAvailable) as caught:
        draws_with(local, sd1, "tiny", ask, recorder)
    assert "the VAE 'alien' does not fit this model" in str(caught.value.details)


def test_a_file_without_all_its_tensors_is_refused(
    generator_for: Make, sd1: Path, other: Path, ask: DenoiserCall, recorder: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(other / "vae" / "diffusion_pytorch_model.safetensors")
    half = {name: weights[name] for name in weights if "mid_block" not in name}
    save_file(half, tmp_path / "half.safetensors")
    local = generator_for(models={"tiny": {"vae": "half"}})
    local.add(tmp_path / "half.safetensors", None, recorder())
    with pytest.raises(ModelNotAvailable) as caught:
        draws_with(local, sd1, "tiny", ask, recorder)
    assert "the VAE 'half' does not fit this model" in str(caught.value.details)
