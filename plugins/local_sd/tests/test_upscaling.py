"""Networks that enlarge, built as spandrel knows them with random weights; torchvision is not installed here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from visioncraft import InputImage, InvalidRequest, decode_png, encode_png, enlarged
from visioncraft_local_sd.images import upscaling
from visioncraft_local_sd.images.upscaling import Upscalers, _torchvision_or_none

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)


def network() -> Any:
    """A small ESRGAN that doubles."""
    with _torchvision_or_none():
        esrgan = importlib.import_module("spandrel.architectures.ESRGAN.__arch.RRDB")
    torch.manual_seed(0)
    return esrgan.RRDBNet(in_nc=3, out_nc=3, num_filters=4, num_blocks=1, scale=2).eval()


@pytest.fixture
def upscalers(tmp_path: Path) -> Upscalers:
    save_file(network().state_dict(), tmp_path / "double.safetensors")
    save_file({"conv_first.weight": torch.zeros(1, 1, 1, 1)}, tmp_path / "odd.safetensors")
    return Upscalers(lambda name: tmp_path / f"{name}.safetensors", "cpu")


def test_a_network_enlarges_as_it_does_by_itself_and_tiles_leave_no_seam(
    upscalers: Upscalers, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = torch.from_numpy(PIXELS.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = network()(unit)[0].clamp(0, 1).mul(255).round().permute(1, 2, 0).numpy().astype(int)
        whole = upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler").astype(int)
        monkeypatch.setattr(upscaling, "_TILE", 16)
        tiled = upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler").astype(int)
    assert np.abs(whole - expected).max() <= 1
    assert np.abs(tiled - whole).max() <= 1


def test_another_factor_than_the_networks_is_made_up_by_lanczos(upscalers: Upscalers) -> None:
    with torch.inference_mode():
        doubled = upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler")
        smaller = upscalers.enlarge(PIXELS, "double", 75, 105, "upscaler")
    assert np.array_equal(smaller, enlarged(doubled, 75, 105))


def test_a_network_that_spandrel_does_not_know_is_refused(upscalers: Upscalers) -> None:
    with pytest.raises(InvalidRequest) as caught:
        upscalers.enlarge(PIXELS, "odd", 100, 140, "hires.upscaler")
    assert caught.value.details["field"] == "hires.upscaler"
    assert "does not know" in str(caught.value.details["issue"])


def test_a_network_that_is_not_all_there_is_refused(upscalers: Upscalers, tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(
        {name: weights for name, weights in state.items() if "sub.0.RDB1" not in name}, tmp_path / "half.safetensors"
    )
    with pytest.raises(InvalidRequest) as caught:
        upscalers.enlarge(PIXELS, "half", 100, 140, "upscaler")
    assert "half.safetensors" in str(caught.value.details["issue"])


def test_a_network_that_takes_anothers_place_enlarges(upscalers: Upscalers, tmp_path: Path) -> None:
    with torch.inference_mode():
        first = upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler")
        save_file({name: weights * 2 for name, weights in network().state_dict().items()}, tmp_path / "new.safetensors")
        (tmp_path / "new.safetensors").replace(tmp_path / "double.safetensors")
        assert (upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler") != first).any()


def test_spandrel_leaves_nothing_that_passes_for_torchvision(upscalers: Upscalers) -> None:
    with torch.inference_mode():
        upscalers.enlarge(PIXELS, "double", 100, 140, "upscaler")
    left = [module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"]
    assert all(module.__spec__ is not None and module.__spec__.has_location for module in left), "only the real one"


def test_an_upscaler_that_was_added_enlarges_a_picture(
    generator_for: Callable[..., Any], sd1: Path, ask: Any, recorder: Any, tmp_path: Path
) -> None:
    file = tmp_path / "double.safetensors"
    save_file(network().state_dict(), file)
    local = generator_for()
    assert local.add(file, None, recorder()).kind == "upscaler"
    image = local.run(ask(sd1, upscaler="double", upscale=4.0), recorder())
    assert decode_png(image.png).shape == (256, 256, 3)


@pytest.mark.parametrize("upscaler", ["double", "Lanczos"])
def test_an_image_is_enlarged_without_a_model(
    generator_for: Callable[..., Any], ask: Any, recorder: Any, tmp_path: Path, upscaler: str
) -> None:
    save_file(network().state_dict(), tmp_path / "double.safetensors")
    local = generator_for()
    local.add(tmp_path / "double.safetensors", None, recorder())
    sent = InputImage("0" * 64, 50, 70, encode_png(PIXELS))
    nowhere = ask(tmp_path / "no-such-model", init_image=sent, strength=0.0, width=50, height=70)
    progress = recorder()
    image = local.run(replace(nowhere, upscaler=upscaler, upscale=3.0), progress)
    assert decode_png(image.png).shape == (210, 150, 3) and (image.width, image.height) == (150, 210)
    assert (progress.stages, progress.steps) == (["enlarging"], [(1, 1)])
    assert local.status().loaded_models == []
    if upscaler == "Lanczos":
        np.testing.assert_array_equal(decode_png(image.png), enlarged(PIXELS, 150, 210))


def test_an_upscaler_that_is_not_here_is_named(
    generator_for: Callable[..., Any], ask: Any, recorder: Any, tmp_path: Path
) -> None:
    sent = InputImage("0" * 64, 50, 70, encode_png(PIXELS))
    asked = ask(tmp_path / "none", init_image=sent, strength=0.0, upscaler="absent", width=50, height=70)
    with pytest.raises(InvalidRequest, match="upscaler"):
        generator_for().run(asked, recorder())
