"""Previews: what is being drawn, seen early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import decode_png
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings

STEPS = 6


WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
Watch = Callable[..., tuple[list[tuple[int, bytes]], Any]]


@pytest.fixture
def watched(tmp_path: Path, ask: Callable[..., Any], recorder: Any) -> Watch:
    """Draws a red apple; gives the previews with their steps, and the picture."""

    def draw(**settings: Any) -> tuple[list[tuple[int, bytes]], Any]:
        engine, watcher = LocalSD(LocalSDSettings(device="cpu", dtype="fp32", **settings), tmp_path), recorder()
        request = ask(WEIGHTS, prompt="red apple", num_inference_steps=STEPS, width=256, height=256)
        picture = decode_png(engine.run(request, watcher).png)
        engine.close()
        return watcher.previews, picture

    return draw


def alike(left: Any, right: Any) -> float:
    return float(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def steps_of(previews: Sequence[tuple[int, bytes]]) -> list[int]:
    return [step for step, _ in previews]


def test_a_linear_preview_comes_every_few_steps_and_grows_into_the_picture(watched: Watch) -> None:
    previews, picture = watched(preview_every=1)
    assert steps_of(previews) == [*range(1, STEPS)]
    likeness = [alike(decode_png(png), picture) for _, png in previews]
    assert likeness[-1] > 0.7
    assert likeness[-1] > likeness[0]
    assert steps_of(watched(preview_every=4)[0]) == [4]


def test_previews_can_be_switched_off_and_change_nothing_in_the_picture(watched: Watch) -> None:
    without, picture = watched(preview="off")
    assert without == []
    assert np.array_equal(picture, watched(preview_every=1)[1])


def test_taesd_is_used_where_its_weights_lie_and_linear_where_they_do_not_fit(watched: Watch, tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    linear = watched(preview="taesd")[0]
    assert linear == watched(preview="linear")[0]
    blocks = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks |= {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    AutoencoderTiny(latent_channels=4, **blocks).save_pretrained(tmp_path / "models" / "taesd")
    tiny = watched(preview="taesd")[0]
    assert steps_of(tiny) == steps_of(linear) and tiny != linear
    AutoencoderTiny(latent_channels=8, **blocks).save_pretrained(tmp_path / "models" / "taesd")
    assert watched(preview="taesd")[0] == linear


def test_a_preview_that_fails_is_left_out_and_said_once_and_the_picture_is_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    from visioncraft_local_sd.images.preview import PreviewChoice, Previewer

    def decode(latents: torch.Tensor) -> torch.Tensor:
        raise MemoryError("no room")

    previewer = Previewer(PreviewChoice("linear", 1, tmp_path), decode, taesd="")
    assert [previewer.at(step, 4, torch.randn(1, 4, 8, 8)) for step in (1, 2, 3)] == [None, None, None]
    assert [record.message for record in caplog.records] == ["previews are left out from here on: no room"]
