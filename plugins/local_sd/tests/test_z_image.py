"""Z-Image in the loop that images share, beside diffusers' own pipelines with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beside_diffusers import MASK, PIXELS, SIDE, asked, by_id, drawn_by, local_sd
from safetensors.torch import save_file
from tiny_transformers import save_z_image
from together import NEAR, counted_rows, drawn_at_once, furthest, in_loop, pixels
from visioncraft import Defaults, InvalidRequest, JobCancelled, ModelInfo, encode_png
from visioncraft.jobs.requests import build_request
from visioncraft_local_sd.generator import LocalSD

STEPS = 4
LORA = ("layers.0.attention.to_q", "layers.1.feed_forward.w1", "noise_refiner.0.attention.to_k")

Stock = Callable[..., np.ndarray]
ask = partial(asked, num_inference_steps=STEPS, guidance_scale=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the two Z-Images, and a LoRA for both."""
    import torch

    data = tmp_path_factory.mktemp("z-image") / "data"
    save_z_image(data / "models" / "turbo")
    save_z_image(data / "models" / "base", shift=6.0)
    random = torch.Generator().manual_seed(9)
    tensors = {}
    for layer in LORA:
        rows = 85 if layer.endswith("w1") else 32
        tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(2, 32, generator=random)
        tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(rows, 2, generator=random)
    (data / "models" / "loras").mkdir()
    save_file(tensors, data / "models" / "loras" / "ink.safetensors")
    return data


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalSD:
    return local_sd(folder)


@pytest.fixture(scope="module")
def listed(local: LocalSD) -> Mapping[str, ModelInfo]:
    return by_id(local)


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    import diffusers

    kind: Any = diffusers.ZImagePipeline
    return kind.from_pretrained(folder / "models" / "turbo", local_files_only=True)


@pytest.fixture(scope="module")
def stock(pipe: Any) -> Stock:
    """What diffusers draws: uint8 as ours."""
    import diffusers

    def draw(kind: str = "ZImagePipeline", **arguments: Any) -> np.ndarray:
        plain = {"num_inference_steps": STEPS, "guidance_scale": 0.0}
        return drawn_by(getattr(diffusers, kind)(**pipe.components), **{**plain, **arguments})

    return draw


def near(ours: Any, theirs: np.ndarray) -> bool:
    return furthest(pixels(ours), theirs) <= NEAR


def test_the_two_are_told_apart_and_draw_with_their_own_defaults(listed: Mapping[str, ModelInfo]) -> None:
    turbo, base = listed["turbo"], listed["base"]
    assert (turbo.description, base.description) == ("A Z-Image-Turbo model", "A Z-Image model")
    assert turbo.defaults == Defaults(9, 0.0, 1024, 1024)
    assert base.defaults == Defaults(50, 5.0, 1024, 1024)
    assert {turbo.licence, base.licence} == {"Apache-2.0"}
    assert turbo.limits.size_multiple == 16
    assert turbo.abilities == {"init_image", "mask", "loras", "hires", "upscaler"}
    drawn = build_request(turbo, "a red apple")
    assert (drawn.num_inference_steps, drawn.guidance_scale, drawn.width) == (9, 0.0, 1024)


@pytest.mark.parametrize(
    "guidance", [{"guidance_scale": 0.0}, {"guidance_scale": 4.0, "negative_prompt": "a very green pear"}]
)
def test_a_text_is_drawn_as_diffusers_draws_it(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, guidance: dict[str, Any]
) -> None:
    progress = recorder()
    assert near(local.run(ask(listed["turbo"], **guidance), progress), stock(**guidance))
    assert [step for step, _ in progress.steps] == list(range(1, STEPS + 1))
    assert len(progress.previews) == STEPS - 1


def test_images_of_other_steps_seeds_guidance_and_texts_share_calls_and_stay_what_they_are(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any
) -> None:
    mixed: list[dict[str, Any]] = [
        {"num_inference_steps": 2, "seed": 1},
        {"num_inference_steps": 5, "seed": 2, "guidance_scale": 3.0, "negative_prompt": "blue " * 20},
        {"num_inference_steps": 4, "seed": 3},
    ]
    requests = [ask(listed["turbo"], **each) for each in mixed]
    with in_loop(local, requests[0].model, recorder()) as loaded:
        loaded._denoisers.plain.bounds._size(8, 8).rows = 8
    with counted_rows(local, requests[0], recorder()) as rows:
        drawn = drawn_at_once(local, requests, [recorder() for _ in mixed])
    assert max(rows) == 4, "two alone, and one with its negative prompt, in one call"
    assert all(near(ours, stock(**each)) for ours, each in zip(drawn, mixed, strict=True))


def test_images_of_other_sizes_do_not_share_a_call(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any
) -> None:
    sizes = [{"width": 64, "height": 64}, {"width": 96, "height": 64}]
    requests = [ask(listed["turbo"], **size) for size in sizes]
    with counted_rows(local, requests[0], recorder()) as rows:
        drawn = drawn_at_once(local, requests, [recorder() for _ in sizes])
    assert rows == [1] * (2 * STEPS)
    assert all(near(ours, stock(**size)) for ours, size in zip(drawn, sizes, strict=True))


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.75])
def test_an_image_is_drawn_over_as_diffusers_does(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, strength: float
) -> None:
    from PIL import Image

    over = ask(listed["turbo"], init_image=encode_png(PIXELS), strength=strength, guidance_scale=2.0)
    theirs = stock("ZImageImg2ImgPipeline", image=Image.fromarray(PIXELS), strength=strength, guidance_scale=2.0)
    assert near(local.run(over, recorder()), theirs)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_masks_black_stays_as_diffusers_has_it_stay(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, strength: float
) -> None:
    from PIL import Image

    images = {"image": Image.fromarray(PIXELS), "mask_image": Image.fromarray(MASK)}
    over = ask(listed["turbo"], init_image=encode_png(PIXELS), mask=encode_png(MASK), strength=strength)
    assert near(local.run(over, recorder()), stock("ZImageInpaintPipeline", **images, strength=strength))


def test_a_lora_draws_as_in_diffusers_and_leaves_nothing_behind(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, pipe: Any, folder: Path, recorder: Any
) -> None:
    plain = pixels(local.run(ask(listed["turbo"]), recorder()))
    ours = local.run(ask(listed["turbo"], loras=[{"name": "ink", "weight": 0.8}]), recorder())
    pipe.load_lora_weights(str(folder / "models" / "loras"), weight_name="ink.safetensors", adapter_name="ink")
    pipe.set_adapters(["ink"], [0.8])
    try:
        theirs = stock()
    finally:
        pipe.unload_lora_weights()
    assert near(ours, theirs)
    assert furthest(plain, theirs) > 3
    np.testing.assert_array_equal(pixels(local.run(ask(listed["turbo"]), recorder())), plain)


def test_a_lora_for_another_model_is_refused_by_name(
    local: LocalSD, listed: Mapping[str, ModelInfo], folder: Path, recorder: Any
) -> None:
    import torch

    foreign = {f"transformer.blocks.9.to_q.lora_{side}.weight": torch.zeros(2, 2) for side in "AB"}
    save_file(foreign, folder / "models" / "loras" / "foreign.safetensors")
    with pytest.raises(InvalidRequest) as refused:
        local.run(ask(listed["turbo"], loras=[{"name": "foreign"}]), recorder())
    assert "'foreign'" in str(refused.value.details["issue"])


@pytest.mark.parametrize("schedule", ["karras", "exponential", "beta"])
def test_every_sampler_offered_is_the_schedule_that_diffusers_has(
    local: LocalSD, listed: Mapping[str, ModelInfo], pipe: Any, stock: Stock, recorder: Any, schedule: str
) -> None:
    assert f"euler_{schedule}" in listed["turbo"].samplers
    drawn = local.run(ask(listed["turbo"], sampler=f"Euler {schedule}"), recorder())
    own = pipe.scheduler
    pipe.register_modules(scheduler=type(own).from_config(own.config, **{f"use_{schedule}_sigmas": True}))
    try:
        assert near(drawn, stock())
    finally:
        pipe.register_modules(scheduler=own)
    assert drawn.facts["sampler"] == f"euler_{schedule}"


def test_a_sampler_of_other_families_is_refused_with_those_there_are(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        local.run(ask(listed["turbo"], sampler="dpm++_2m_karras"), recorder())
    assert "this model's: euler," in str(refused.value.details["issue"])


def test_a_second_larger_pass_and_a_cancel_are_as_with_any_family(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any
) -> None:
    larger = local.run(ask(listed["turbo"], hires={"scale": 1.5, "strength": 0.5}), recorder())
    assert (larger.width, larger.height) == (96, 96)
    with pytest.raises(JobCancelled):
        local.run(ask(listed["turbo"], num_inference_steps=50), recorder(cancel_at_step=2))
    assert local.run(ask(listed["turbo"]), recorder()).width == SIDE


def test_a_negative_prompt_without_guidance_is_said_to_say_nothing(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any
) -> None:
    drawn = local.run(ask(listed["turbo"], negative_prompt="a pear"), recorder())
    assert "guidance is off" in drawn.warnings[0]
