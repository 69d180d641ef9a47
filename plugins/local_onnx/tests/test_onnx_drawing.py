"""Drawing: the pictures that torch draws, seeds, cancel and progress, with mini's own graphs and a tiny XL export."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import mean_difference
from visioncraft import InvalidRequest, JobCancelled, decode_png
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.preview import Previewer
from visioncraft_local_onnx.sampling.names import sampler_names
from visioncraft_local_sd.generator import LocalSD

Ask = Callable[..., Any]


@pytest.mark.parametrize("sampler", [None, *sampler_names()])
def test_a_seed_draws_the_picture_that_torch_draws(
    onnx: LocalOnnx, torchs: LocalSD, ask: Ask, recorder: Any, sampler: str | None
) -> None:
    request = ask(sampler=sampler, num_inference_steps=6, negative_prompt="blue", seed=2**40 + 11)
    assert mean_difference(onnx.run(request, recorder()), torchs.run(request, recorder())) <= 2


def test_without_guidance_too(onnx: LocalOnnx, torchs: LocalSD, ask: Ask, recorder: Any) -> None:
    request = ask(guidance_scale=1.0, width=192)
    assert mean_difference(onnx.run(request, recorder()), torchs.run(request, recorder())) <= 2


@pytest.mark.parametrize("negative_prompt", ["", "blue"])
def test_an_export_of_xl_draws_what_diffusers_draws(
    onnx: LocalOnnx, tiny_xl: tuple[Path, Path], ask: Ask, recorder: Any, negative_prompt: str
) -> None:
    import torch

    stock = importlib.import_module("diffusers").StableDiffusionXLPipeline.from_pretrained(
        tiny_xl[0], local_files_only=True, add_watermarker=False
    )
    drawn = stock(
        "a red apple",
        negative_prompt=negative_prompt or None,
        width=64,
        height=32,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="np",
    ).images[0]
    request = ask(tiny_xl[1], width=64, height=32, num_inference_steps=4, guidance_scale=5.0, seed=3)
    image = onnx.run(replace(request, negative_prompt=negative_prompt), recorder())
    assert np.abs(decode_png(image.png) - drawn * 255.0).max() <= 1.5
    assert image.facts["sampler"] == "euler"


def test_the_facts_say_what_drew(onnx: LocalOnnx, ask: Ask, recorder: Any) -> None:
    image = onnx.run(ask(seed=2**40), recorder())
    assert (image.width, image.height, image.seed, image.vram_used) == (128, 128, 2**40, 0.0)
    facts = dict(image.facts)
    assert str(facts.pop("engine")).startswith("onnxruntime 1.")
    assert facts == {"sampler": "ddim", "dtype": "fp32", "provider": "cpu"}
    assert onnx.status().facts["provider"] == "cpu"
    assert onnx.status().facts["threads"] == 1


def test_a_seed_is_one_picture_and_another_seed_another(onnx: LocalOnnx, ask: Ask, recorder: Any) -> None:
    first = onnx.run(ask(seed=1), recorder())
    assert onnx.run(ask(seed=1), recorder()).png == first.png
    assert onnx.run(ask(seed=2), recorder()).png != first.png


@pytest.mark.parametrize("change", [{"prompt": "a blue boat"}, {"negative_prompt": "noise"}, {"guidance_scale": 2.0}])
def test_prompt_negative_prompt_and_guidance_each_change_the_picture(
    onnx: LocalOnnx, ask: Ask, recorder: Any, change: dict[str, Any]
) -> None:
    assert onnx.run(ask(**change), recorder()).png != onnx.run(ask(), recorder()).png


@pytest.mark.parametrize("sampler", [None, "pndm"])
def test_a_cancel_stops_within_one_step_and_the_next_picture_is_as_ever(
    onnx: LocalOnnx, ask: Ask, recorder: Any, sampler: str | None
) -> None:
    request = ask(num_inference_steps=8, sampler=sampler)
    before = onnx.run(request, recorder())
    progress = recorder(cancel_at_step=3)
    with pytest.raises(JobCancelled):
        onnx.run(request, progress)
    assert progress.steps[-1] == (3, 8)
    assert "decoding" not in progress.stages
    assert onnx.run(request, recorder()).png == before.png


def test_progress_tells_stages_every_step_and_previews(
    generator_for: Callable[..., LocalOnnx], ask: Ask, recorder: Any
) -> None:
    progress = recorder()
    generator_for(preview_every=2).run(ask(num_inference_steps=5, sampler="pndm", height=320, width=256), progress)
    assert progress.stages == ["loading", "encoding prompt", "decoding"]
    assert progress.steps == [(step, 5) for step in range(1, 6)]
    assert [step for step, _ in progress.previews] == [2, 4]
    shapes = {decode_png(png).shape for _, png in progress.previews}
    assert shapes == {(240, 192, 3)}  # latents of 20 x 16, each pixel twelve times


def test_a_preview_resembles_the_picture(onnx: LocalOnnx, ask: Ask, recorder: Any) -> None:
    progress = recorder()
    picture = decode_png(onnx.run(ask(num_inference_steps=10, width=256, height=256), progress).png).astype(float)
    preview = decode_png(progress.previews[-1][1]).astype(float)
    small = [image.reshape(16, 16, 16, 16, 3).mean(axis=(1, 3)).ravel() for image in (picture, preview)]
    assert np.corrcoef(*small)[0, 1] > 0.7


def test_previews_can_be_off(generator_for: Callable[..., LocalOnnx], ask: Ask, recorder: Any) -> None:
    progress = recorder()
    generator_for(preview="off").run(ask(num_inference_steps=6), progress)
    assert progress.previews == []


def test_what_is_not_in_the_picture_is_told(onnx: LocalOnnx, ask: Ask, recorder: Any) -> None:
    def told(**asked: Any) -> str:
        return " ".join(onnx.run(ask(num_inference_steps=1, **asked), recorder()).warnings)

    assert "negative prompt says nothing" in told(negative_prompt="blue", guidance_scale=1.0)
    assert "the end of the prompt was left out" in told(prompt="apple " * 100, guidance_scale=1.0)
    assert "the end of the negative prompt" in told(negative_prompt="pear " * 100, guidance_scale=4.0)
    assert told(negative_prompt="blue", guidance_scale=4.0) == ""


def test_a_preview_that_fails_is_left_out_and_the_picture_is_drawn(caplog: pytest.LogCaptureFixture) -> None:
    previewer = Previewer(1, lambda latents: np.full((1, 3, 128, 128), np.nan, np.float32))
    assert [previewer.at(step, 3, np.ones((1, 4, 8, 8), np.float32)) for step in (1, 2)] == [None, None]
    assert len(caplog.records) == 1 and "previews are left out" in caplog.records[0].message


def test_two_pictures_at_once_are_the_two_drawn_in_turn(onnx: LocalOnnx, ask: Ask, recorder: Any) -> None:
    requests = [ask(seed=n, sampler=name) for n, name in enumerate(("euler_a", "lcm", "dpm++_2m", None))]
    in_turn = [onnx.run(request, recorder()).png for request in requests]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda request: onnx.run(request, recorder()).png, requests)) == in_turn


def test_an_unknown_sampler_is_refused_before_a_model_loads(
    generator_for: Callable[..., LocalOnnx], ask: Ask, recorder: Any
) -> None:
    local = generator_for()
    with pytest.raises(InvalidRequest) as caught:
        local.run(ask(sampler="eulr"), recorder())
    assert "'euler'" in str(caught.value.details["issue"])
    assert local.status().loaded_models == []


@pytest.mark.parametrize("prompt", ["", "word " * 2_000, "\ud800 broken", "\x00\x1b[31m", "苹果 🍎"])
def test_any_text_is_a_prompt(onnx: LocalOnnx, ask: Ask, recorder: Any, prompt: str) -> None:
    assert onnx.run(ask(prompt=prompt, num_inference_steps=1), recorder()).width == 128


def test_nothing_of_torch_is_imported_to_draw(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from visioncraft import GenerationRequest, ModelInfo
from visioncraft.jobs.progress import NoProgress
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.settings import LocalOnnxSettings
from visioncraft_mini.plugin import MINI
local = LocalOnnx(LocalOnnxSettings(), Path({str(tmp_path)!r}))
local.run(GenerationRequest("a cat", MINI, num_inference_steps=1, width=256, height=256), NoProgress())
print(*sorted(sys.modules.keys() & {{"torch", "diffusers", "transformers", "scipy", "onnx"}}))
"""
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout.strip()) == (0, ""), outcome.stderr
