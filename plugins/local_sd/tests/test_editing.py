"""Editing, beside diffusers' own pipelines: the same seed draws the same picture, to a shade."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from together import NEAR
from visioncraft import InvalidRequest, ModelInfo, decode_png, encode_png
from visioncraft.images.inputs import prepare, read
from visioncraft.jobs.requests import build_request
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.text.prompts import fragments

Stock = Callable[..., Any]
Draw = Callable[..., np.ndarray]
STEPS, SIDE = 4, 128


def noise(side: int = SIDE, seed: int = 0) -> np.ndarray:
    """A picture with structure at every size."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC), dtype=np.uint8)


PIXELS = noise()
HOLE = np.zeros((SIDE, SIDE, 3), np.uint8)
HOLE[SIDE // 4 : SIDE * 3 // 4, SIDE // 4 : SIDE * 5 // 8] = 255


@pytest.fixture(scope="module")
def stock(mini: Path) -> Iterator[Stock]:
    """Draws with a stock pipeline of diffusers, by the pipeline's name."""
    import diffusers

    base = diffusers.StableDiffusionPipeline.from_pretrained(str(mini), dtype=torch.float32, safety_checker=None)
    base.set_progress_bar_config(disable=True)

    def draw(name: str, seed: int = 7, scheduler: str = "", **options: Any) -> np.ndarray:
        pipe = getattr(diffusers, name).from_pipe(base, **options.pop("parts", {}))
        pipe.set_progress_bar_config(disable=True)
        kind = getattr(diffusers, scheduler) if scheduler else type(base.scheduler)
        pipe.scheduler = kind.from_config(base.scheduler.config)
        generator = torch.Generator().manual_seed(seed)
        defaults: dict[str, Any] = {"prompt": "red apple", "num_inference_steps": STEPS, "guidance_scale": 5.0}
        return np.asarray(pipe(**{**defaults, **options}, generator=generator).images[0]).astype(int)

    draw.pipe = base  # type: ignore[attr-defined]
    yield draw


@pytest.fixture
def draw(local: LocalSD, mini_model: ModelInfo, recorder: Any) -> Draw:
    """Draws with the generator, from what a client could send."""

    def drawn(**asked: Any) -> np.ndarray:
        defaults: dict[str, Any] = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "seed": 7}
        defaults |= {} if "init_image" in asked else {"width": SIDE, "height": SIDE}
        request = build_request(mini_model, asked.pop("prompt", "red apple"), **{**defaults, **asked})
        return decode_png(local.run(request, recorder()).png).astype(int)

    return drawn


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= NEAR


@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
@pytest.mark.parametrize(("sampler", "scheduler"), [(None, ""), ("euler_a", "EulerAncestralDiscreteScheduler")])
def test_img2img_draws_what_diffusers_draws(
    draw: Draw, stock: Stock, strength: float, sampler: str | None, scheduler: str
) -> None:
    ours = draw(init_image=encode_png(PIXELS), strength=strength, sampler=sampler)
    image = Image.fromarray(PIXELS)
    assert_same(ours, stock("StableDiffusionImg2ImgPipeline", image=image, strength=strength, scheduler=scheduler))


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize(("sampler", "scheduler"), [(None, ""), ("euler", "EulerDiscreteScheduler")])
def test_inpainting_draws_what_diffusers_draws(
    draw: Draw, stock: Stock, strength: float, sampler: str | None, scheduler: str
) -> None:
    ours = draw(init_image=encode_png(PIXELS), mask=encode_png(HOLE), strength=strength, sampler=sampler)
    pictures = {"image": Image.fromarray(PIXELS), "mask_image": Image.fromarray(HOLE[..., 0])}
    theirs = stock("StableDiffusionInpaintPipeline", strength=strength, scheduler=scheduler, **pictures, **SIZE)
    assert_same(ours, theirs)


def test_what_a_mask_leaves_stays_and_the_rest_is_drawn_anew(draw: Draw) -> None:
    ours = draw(init_image=encode_png(PIXELS), mask=encode_png(HOLE))
    change = np.abs(ours - PIXELS.astype(int)).mean(axis=2)
    inside = change[SIDE * 3 // 8 : SIDE * 5 // 8, SIDE * 3 // 8 : SIDE // 2]
    assert change[:, : SIDE // 8].mean() < inside.mean() / 2


SIZE = {"width": SIDE, "height": SIDE}


def skipping(pipe: Any, prompt: str, negative: str) -> dict[str, Any]:
    """Both prompts by the text encoder's last layer but one; diffusers' own `clip_skip` cannot, with transformers 5."""
    embedded = {}
    for name, text in (("prompt_embeds", prompt), ("negative_prompt_embeds", negative)):
        ids = pipe.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
        hidden = pipe.text_encoder(ids, output_hidden_states=True).hidden_states[-2]
        embedded[name] = pipe.text_encoder.final_layer_norm(hidden).detach()
    return {"prompt": None, **embedded}


def test_clip_skip_draws_what_diffusers_draws(draw: Draw, stock: Stock) -> None:
    pipe = stock.pipe  # type: ignore[attr-defined]
    assert_same(draw(clip_skip=2), stock("StableDiffusionPipeline", **SIZE, **skipping(pipe, "red apple", "")))
    assert np.abs(draw(clip_skip=2) - draw()).max() > 1
    with pytest.raises(InvalidRequest) as caught:
        draw(clip_skip=3)
    assert caught.value.details == {
        "field": "clip_skip",
        "issue": "1 to 2: the model's text encoder has so many layers",
    }


LONG = ", ".join(["a red apple beside a yellow star under a blue heart"] * 12)


@pytest.mark.parametrize("prompt", ["red apple", r"red apple \(ripe\)", "red apple)", "a: b"])
def test_a_short_prompt_without_weights_is_encoded_as_ever(draw: Draw, stock: Stock, prompt: str) -> None:
    plain = prompt.replace("\\", "")
    assert_same(draw(prompt=prompt), stock("StableDiffusionPipeline", prompt=plain, **SIZE))


def test_weighted_words_draw_what_compel_draws(draw: Draw, stock: Stock) -> None:
    from compel import Compel

    pipe = stock.pipe  # type: ignore[attr-defined]
    compel = Compel(tokenizer=pipe.tokenizer, text_encoder=pipe.text_encoder, truncate_long_prompts=False)
    embeds = {"prompt_embeds": compel("a (red)1.5 apple"), "negative_prompt_embeds": compel("(blue)0.5")}
    theirs = stock("StableDiffusionPipeline", prompt=None, **embeds, **SIZE)
    ours = draw(prompt="a (red:1.5) apple", negative_prompt="(blue:0.5)")
    assert_same(ours, theirs)
    assert np.abs(ours - draw(prompt="a red apple", negative_prompt="blue")).max() > 1


def test_words_past_the_77th_token_are_heard(draw: Draw) -> None:
    assert np.abs(draw(prompt=LONG) - draw(prompt=LONG + ", a green frog")).max() > 1
    assert np.abs(draw(prompt=LONG) - draw(prompt=LONG, negative_prompt="frog")).max() > 1


@pytest.mark.parametrize("prompt", ["(red:11)", "(red:-1)", "((((red:9):9)))", "(red:1.2.3)"])
def test_a_weight_past_bounds_is_refused_by_its_field(draw: Draw, prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        draw(prompt="red apple", negative_prompt=prompt)
    assert caught.value.details["field"] == "negative_prompt"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("red", [("red", 1.0)]),
        ("a (red:1.3) apple", [("a ", 1.0), ("red", 1.3), (" apple", 1.0)]),
        ("(red)", [("red", 1.1)]),
        ("((red))", [("red", 1.21)]),
        ("[red]", [("red", 1 / 1.1)]),
        ("(a (b:2) c:3)", [("a ", 3.0), ("b", 6.0), (" c", 3.0)]),
        (r"\(red\) \\", [("(red) \\", 1.0)]),
        ("(open", [("open", 1.1)]),
        ("close) a:b", [("close) a:b", 1.0)]),
        ("", [("", 1.0)]),
    ],
)
def test_brackets_weigh_as_in_automatic1111(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = [(fragment.text, fragment.weight) for fragment in fragments("prompt", prompt)]
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in expected])


def test_xl_hears_weights_and_long_prompts_too(local: LocalSD, sdxl: Path, ask: Any, recorder: Any) -> None:
    def drawn(prompt: str, **changes: Any) -> np.ndarray:
        return decode_png(local.run(ask(sdxl, prompt=prompt, **changes), recorder()).png).astype(int)

    plain = drawn("a red apple")
    assert np.abs(drawn("a (red:1.8) apple") - plain).max() > 0
    assert np.abs(drawn("a red apple", clip_skip=2) - plain).max() > 0
    assert np.abs(drawn(LONG, negative_prompt="blue") - drawn(LONG + ", a frog", negative_prompt="blue")).max() > 0


@pytest.fixture(scope="module")
def painter(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model with a denoiser for inpainting, whose further channels have random weights."""
    import diffusers

    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("painter") / "painter"
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(str(mini), dtype=torch.float32, safety_checker=None)
    wide = torch.nn.Conv2d(9, pipe.unet.conv_in.out_channels, 3, padding=1)
    wide.weight.data[:, :4] = pipe.unet.conv_in.weight.data
    wide.weight.data[:, 4:] *= 0.3
    pipe.unet.conv_in = wide
    pipe.unet.register_to_config(in_channels=9)
    pipe.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_model_for_inpainting_draws_what_diffusers_draws(
    local: LocalSD, painter: Path, ask: Any, recorder: Any, strength: float
) -> None:
    import diffusers

    images = {"init_image": prepare(read("init_image", encode_png(PIXELS)), SIDE, SIDE)}
    images["mask"] = prepare(read("mask", encode_png(HOLE)), SIDE, SIDE, "mask")
    asked = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "strength": strength, **SIZE, **images}
    ours = decode_png(local.run(ask(painter, prompt="red apple", **asked), recorder()).png).astype(int)
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(str(painter), safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    pictures = {"image": Image.fromarray(PIXELS), "mask_image": Image.fromarray(HOLE[..., 0])}
    steps = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "strength": strength}
    theirs = pipe("red apple", **pictures, **steps, **SIZE, generator=generator).images[0]
    assert_same(ours, np.asarray(theirs).astype(int))


def test_a_model_for_inpainting_draws_from_text_alone_too(
    local: LocalSD, painter: Path, ask: Any, recorder: Any
) -> None:
    assert decode_png(local.run(ask(painter, num_inference_steps=STEPS, **SIZE), recorder()).png).std() > 1


@pytest.mark.parametrize("upscaler", [None, "lanczos"])
def test_a_second_pass_draws_over_a_larger_picture(draw: Draw, upscaler: str | None) -> None:
    first = draw()
    ours = draw(hires={"scale": 1.5, "strength": 0.5, "steps": STEPS, "upscaler": upscaler})
    side = SIDE * 3 // 2
    assert ours.shape == (side, side, 3)
    resized = Image.fromarray(first.astype(np.uint8)).resize((side, side), Image.Resampling.LANCZOS)
    larger = np.asarray(resized).astype(int)
    assert 1 < np.abs(ours - larger).mean() < np.abs(ours - larger[::-1, ::-1]).mean(), "another, but of the same thing"


def test_lanczos_enlarges_the_finished_picture(draw: Draw) -> None:
    first = Image.fromarray(draw().astype(np.uint8))
    expected = np.asarray(first.resize((SIDE * 5 // 2, SIDE * 5 // 2), Image.Resampling.LANCZOS)).astype(int)
    np.testing.assert_array_equal(draw(upscaler="Lanczos", upscale=2.5), expected)


def test_steps_are_told_as_they_are_drawn(local: LocalSD, mini_model: ModelInfo, recorder: Any) -> None:
    for asked in ({"init_image": encode_png(PIXELS), "strength": 0.5}, {"hires": {"scale": 1.5, "strength": 0.5}}):
        size: dict[str, Any] = {} if "init_image" in asked else {**SIZE}
        request = build_request(mini_model, "x", num_inference_steps=STEPS, guidance_scale=1.0, **size, **asked)
        progress = recorder()
        local.run(request, progress)
        assert [step for step, _ in progress.steps] == list(range(1, request.steps_drawn + 1))
