"""Drawing over a picture, and anew where a mask says: as diffusers' own pipelines do it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from visioncraft import Control, Hires, InputImage, InvalidRequest, LoRA, decode_png, encode_png
from visioncraft.testing import Recorder
from visioncraft_local_onnx.generator import LocalOnnx

WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
SIDE = 256
Ask = Callable[..., Any]


def input_image(pixels: np.ndarray) -> InputImage:
    return InputImage("0" * 64, pixels.shape[1], pixels.shape[0], encode_png(np.ascontiguousarray(pixels, np.uint8)))


@pytest.fixture
def ask(ask: Ask) -> Ask:
    """A request of the size of the pictures here."""
    return lambda **changes: ask(**{"width": SIDE, "height": SIDE, **changes})


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Colours that change across it."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """White on the right."""
    grey = np.zeros((SIDE, SIDE, 3), np.uint8)
    grey[:, SIDE // 2 :] = 255
    return grey


@pytest.fixture(scope="module")
def stock() -> Callable[..., Any]:
    """What diffusers' pipelines draw with mini in fp32."""
    import torch

    diffusers: Any = importlib.import_module("diffusers")
    parts = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS, dtype=torch.float32).components

    def draw(kind: str, scheduler: str | None, **asked: Any) -> Any:
        pipe = getattr(diffusers, kind)(**parts, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        if scheduler is not None:
            more = {"skip_prk_steps": True} if scheduler == "PNDMScheduler" else {}
            pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config, **more)
        generator = torch.Generator("cpu").manual_seed(7)
        asked = {"num_inference_steps": 6, "guidance_scale": 7.5, "generator": generator, **asked}
        return np.asarray(pipe("a red apple", **asked).images[0]).astype(int)

    return draw


@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [
        (None, None),
        ("euler_a", "EulerAncestralDiscreteScheduler"),
        ("dpm++_2m", "DPMSolverMultistepScheduler"),
    ],
)
def test_drawing_over_a_picture_is_what_diffusers_draws(
    onnx: LocalOnnx,
    ask: Ask,
    recorder: Any,
    stock: Callable[..., Any],
    picture: np.ndarray,
    sampler: str | None,
    scheduler: str | None,
    strength: float,
) -> None:
    progress = recorder()
    request = ask(
        num_inference_steps=6, sampler=sampler, guidance_scale=7.5, init_image=input_image(picture), strength=strength
    )
    drawn = decode_png(onnx.run(request, progress).png)
    wanted = stock("StableDiffusionImg2ImgPipeline", scheduler, image=Image.fromarray(picture), strength=strength)
    assert np.abs(drawn - wanted).mean() <= 2
    steps = max(1, int(6 * strength))
    assert progress.steps == [(step, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_drawing_anew_where_a_mask_is_white_is_what_diffusers_draws(
    onnx: LocalOnnx,
    ask: Ask,
    recorder: Any,
    stock: Callable[..., Any],
    picture: np.ndarray,
    mask: np.ndarray,
    strength: float,
) -> None:
    request = ask(
        num_inference_steps=6,
        guidance_scale=7.5,
        init_image=input_image(picture),
        mask=input_image(mask),
        strength=strength,
    )
    drawn = decode_png(onnx.run(request, recorder()).png)
    wanted = stock(
        "StableDiffusionInpaintPipeline",
        None,
        image=Image.fromarray(picture),
        mask_image=Image.fromarray(mask[..., 0]),
        strength=strength,
        width=SIDE,
        height=SIDE,
    )
    assert np.abs(drawn - wanted).mean() <= 2
    assert np.abs(drawn[:, : SIDE // 4] - picture[:, : SIDE // 4].astype(int)).mean() < 16


def test_pndm_draws_over_a_picture_though_steps_are_left_out(
    onnx: LocalOnnx, ask: Ask, recorder: Any, stock: Callable[..., Any], picture: np.ndarray
) -> None:
    request = ask(num_inference_steps=6, sampler="pndm", init_image=input_image(picture), strength=0.7)
    drawn = decode_png(onnx.run(request, recorder()).png)
    parts = {"image": Image.fromarray(picture), "strength": 0.7}
    wanted = stock("StableDiffusionImg2ImgPipeline", "PNDMScheduler", **parts)
    assert np.abs(drawn - wanted).mean() <= 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loras", (LoRA("style"),)),
        ("controlnet", Control("edges", InputImage("0" * 64, 8, 8))),
        ("hires", Hires()),
        ("upscaler", "esrgan"),
        ("clip_skip", 2),
    ],
)
def test_what_needs_torch_is_refused_by_its_field(
    onnx: LocalOnnx, ask: Ask, recorder: Any, field: str, value: object
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        onnx.run(ask(**{field: value}), recorder())
    assert caught.value.details["field"] == field


def test_an_image_is_enlarged_with_no_graph(generator_for: Callable[..., LocalOnnx], ask: Ask, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    asked = ask(path=tmp_path / "none", init_image=input_image(pixels), strength=0.0, width=50, height=30)
    onnx = generator_for()
    image = onnx.run(replace(asked, upscaler="Lanczos", upscale=2.0), Recorder())
    expected = Image.fromarray(pixels).resize((100, 60), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(decode_png(image.png), np.asarray(expected))
    with pytest.raises(InvalidRequest, match="upscaler"):
        onnx.run(replace(asked, upscaler="esrgan"), Recorder())
