"""Textual inversions by the names of their files, for the models that they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from visioncraft import decode_png
from visioncraft_local_sd.generator import LocalSD

Draw = Callable[[str], np.ndarray]


@pytest.fixture
def folder(local: LocalSD) -> Iterator[Path]:
    """Of embeddings; emptied afterwards."""
    folder = local._library.models_dir / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.fixture
def draw(local: LocalSD, sd1: Path, ask: Callable[..., Any], recorder: Any) -> Draw:
    """Draws with a model whose words are 32 numbers wide."""

    def drawn(prompt: str, path: Path = sd1) -> np.ndarray:
        request = ask(path, prompt=prompt, num_inference_steps=1, guidance_scale=1.0)
        return decode_png(local.run(request, recorder()).png)

    return drawn


def learned(file: Path, *widths: int) -> Path:
    """An embedding of two words; with two widths, one for the two text encoders of XL."""
    random = torch.Generator().manual_seed(9)
    names = ["emb_params"] if len(widths) == 1 else ["clip_l", "clip_g"]
    save_file({name: torch.randn(2, width, generator=random) for name, width in zip(names, widths, strict=True)}, file)
    return file


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ng_deepnegative_v1_75t", "ng_deepnegative_v1_75t"),
        ("EasyNegative", "easynegative"),
        ("bad-hands-5", "(Bad-Hands-5:1)"),
        ("Bad Dream (v2)", r"bad dream \(v2\)"),
        ("小さい", "小さい"),
        ("cafe\u0301", "caf\u00e9"),
        ("under_score", "under-score"),
        ("plain", "embedding:plain"),
    ],
)
def test_the_word_of_an_embedding_is_its_files_name_whatever_that_is(
    draw: Draw, folder: Path, name: str, written: str
) -> None:
    file = learned(folder / "zork.safetensors", 32)
    expected = draw("a red apple, zork")
    assert not np.array_equal(draw(f"a red apple, {written}"), expected)
    file.rename(folder / f"{name}.safetensors")
    np.testing.assert_array_equal(draw(f"a red apple, {written}"), expected)


def test_the_longest_of_the_names_that_a_prompt_may_mean_is_meant(draw: Draw, folder: Path) -> None:
    learned(folder / "bad-hands-5.safetensors", 32)
    expected = draw("a red apple, bad-hands-5")
    save_file({"emb_params": torch.ones(1, 32)}, folder / "bad-hands.safetensors")
    np.testing.assert_array_equal(draw("a red apple, bad-hands-5"), expected)
    assert not np.array_equal(draw("a red apple, bad-hands"), expected)


@pytest.mark.parametrize("widths", [(768,), (32, 64)])
def test_an_embedding_for_another_family_is_no_word_for_this_model(
    draw: Draw, folder: Path, widths: tuple[int, ...]
) -> None:
    plain = draw("film grain, a red apple")
    learned(folder / "grain.safetensors", *widths)
    np.testing.assert_array_equal(draw("film grain, a red apple"), plain)


def test_an_embedding_of_one_encoder_is_no_word_for_xl_and_one_of_two_is(
    draw: Callable[..., np.ndarray], folder: Path, sdxl: Path
) -> None:
    plain = draw("film grain", sdxl)
    learned(folder / "grain.safetensors", 32)
    np.testing.assert_array_equal(draw("film grain", sdxl), plain)
    learned(folder / "grain.safetensors", 32, 64)
    assert not np.array_equal(draw("film grain", sdxl), plain)


def test_a_name_without_letters_makes_no_english_word_a_learned_one(draw: Draw, folder: Path) -> None:
    plain = draw("a red model")
    learned(folder / "++.safetensors", 32)
    np.testing.assert_array_equal(draw("a red model"), plain)
