"""Families without a module of their own, drawn by diffusers' own pipelines, a step in turn with whatever else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_transformers as tiny
from beside_diffusers import MASK, PIXELS, SIDE, asked, by_id, drawn_by, local_sd
from PIL import Image
from safetensors.torch import save_file
from together import NEAR, drawn_at_once, furthest, pixels
from visioncraft import Defaults, InvalidRequest, JobCancelled, ModelInfo, encode_png
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.weights.checkpoints import read_checkpoint
from visioncraft_local_sd.weights.safety import CheckpointRefused

STEPS = 3

SAVED: Mapping[str, Callable[[Path], Path]] = {
    "flux1-dev": tiny.save_flux1,
    "klein": tiny.save_klein,
    "klein-base": lambda folder: tiny.save_klein(folder, distilled=False),
    "qwen-image": tiny.save_qwen_image,
    "sd3": tiny.save_sd3,
    "chroma": tiny.save_chroma,
    "krea2": tiny.save_krea2,
}
TEXT: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "flux1-dev": ({"guidance_scale": 2.0}, {"guidance_scale": 2.0}),
    "klein": ({"guidance_scale": 3.0}, {"guidance_scale": 1.0}),
    "klein-base": ({"guidance_scale": 3.0}, {"guidance_scale": 3.0}),
    "qwen-image": ({"guidance_scale": 3.0}, {"true_cfg_scale": 3.0, "negative_prompt": " "}),
    "sd3": (
        {"guidance_scale": 3.0, "negative_prompt": "a pear"},
        {"guidance_scale": 3.0, "negative_prompt": "a pear"},
    ),
    "chroma": ({"guidance_scale": 1.0}, {"guidance_scale": 1.0}),
    "krea2": ({"guidance_scale": 3.0, "negative_prompt": "pear"}, {"guidance_scale": 3.0, "negative_prompt": "pear"}),
}
"""What is asked of us, and what of diffusers' pipeline, for the same image."""

Stock = Callable[..., np.ndarray]
ask = partial(asked, num_inference_steps=STEPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("stock") / "data"
    for name, save in SAVED.items():
        save(data / "models" / name)
    return data


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalSD:
    return local_sd(folder)


@pytest.fixture(scope="module")
def listed(local: LocalSD) -> Mapping[str, ModelInfo]:
    return by_id(local)


@pytest.fixture(scope="module")
def stock(folder: Path) -> Stock:
    """What diffusers draws: uint8 as ours."""
    import diffusers

    loader: Any = diffusers.DiffusionPipeline
    pipes: dict[str, Any] = {}

    def draw(name: str, kind: str = "", **arguments: Any) -> np.ndarray:
        if name not in pipes:
            pipes[name] = loader.from_pretrained(folder / "models" / name, local_files_only=True)
        pipe = getattr(diffusers, kind)(**pipes[name].components) if kind else pipes[name]
        return drawn_by(pipe, **{"num_inference_steps": STEPS, **arguments})

    return draw


@pytest.mark.parametrize("name", list(SAVED))
def test_each_is_drawn_as_diffusers_draws_it_with_progress_and_previews(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, name: str
) -> None:
    ours, theirs = TEXT[name]
    progress = recorder()
    drawn = local.run(ask(listed[name], **ours), progress)
    assert furthest(pixels(drawn), stock(name, **theirs)) <= NEAR
    assert progress.steps == [(step, STEPS) for step in range(1, STEPS + 1)]
    assert len(progress.previews) == STEPS - 1
    assert drawn.facts["sampler"] == "euler"


@pytest.mark.parametrize(
    ("name", "kind", "guidance"),
    [
        ("flux1-dev", "FluxImg2ImgPipeline", "guidance_scale"),
        ("qwen-image", "QwenImageImg2ImgPipeline", "true_cfg_scale"),
        ("sd3", "StableDiffusion3Img2ImgPipeline", "guidance_scale"),
        ("chroma", "ChromaImg2ImgPipeline", "guidance_scale"),
    ],
)
def test_an_image_is_drawn_over_by_the_familys_own_pipeline_for_it(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, name: str, kind: str, guidance: str
) -> None:
    over = ask(listed[name], init_image=encode_png(PIXELS), strength=0.7)
    theirs = stock(name, kind, image=Image.fromarray(PIXELS), strength=0.7, **{guidance: 1.0})
    assert furthest(pixels(local.run(over, recorder())), theirs) <= NEAR


@pytest.mark.parametrize(
    ("name", "kind", "guidance"),
    [
        ("flux1-dev", "FluxInpaintPipeline", "guidance_scale"),
        ("qwen-image", "QwenImageInpaintPipeline", "true_cfg_scale"),
        ("sd3", "StableDiffusion3InpaintPipeline", "guidance_scale"),
    ],
)
def test_a_masks_black_stays_as_the_familys_own_pipeline_has_it_stay(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any, name: str, kind: str, guidance: str
) -> None:
    images = {"image": Image.fromarray(PIXELS), "mask_image": Image.fromarray(MASK)}
    over = ask(listed[name], init_image=encode_png(PIXELS), mask=encode_png(MASK), strength=0.7)
    theirs = stock(name, kind, **images, strength=0.7, **{guidance: 1.0})
    assert furthest(pixels(local.run(over, recorder())), theirs) <= NEAR


def test_images_that_are_drawn_at_once_take_turns_and_stay_what_they_are(
    local: LocalSD, listed: Mapping[str, ModelInfo], stock: Stock, recorder: Any
) -> None:
    short = {"num_inference_steps": 2, "seed": 3}
    requests = [ask(listed["flux1-dev"], num_inference_steps=6), ask(listed["flux1-dev"], **short)]
    order: list[int] = []
    watchers = [recorder(on_step=lambda step, who=who: order.append(who)) for who in range(2)]
    first, second = drawn_at_once(local, requests, watchers)
    assert order[:4] in ([0, 1, 0, 1], [1, 0, 1, 0]), "the short one does not wait for the long one's end"
    assert furthest(pixels(first), stock("flux1-dev", guidance_scale=1.0, num_inference_steps=6)) <= NEAR
    assert furthest(pixels(second), stock("flux1-dev", guidance_scale=1.0, **short)) <= NEAR


def test_a_cancel_ends_an_image_within_a_step_and_leaves_no_thread(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any
) -> None:
    import threading

    progress = recorder(cancel_at_step=2)
    with pytest.raises(JobCancelled):
        local.run(ask(listed["flux1-dev"], num_inference_steps=50), progress)
    assert len(progress.steps) == 2
    assert "pipeline" not in {thread.name for thread in threading.enumerate()}
    assert local.run(ask(listed["flux1-dev"]), recorder()).width == SIDE


def test_a_lora_is_drawn_with_and_leaves_nothing_behind(
    local: LocalSD, listed: Mapping[str, ModelInfo], folder: Path, recorder: Any
) -> None:
    import torch

    layer, random = "transformer.transformer_blocks.0.attn.to_q", torch.Generator().manual_seed(1)
    tensors = {f"{layer}.lora_A.weight": torch.randn(2, 32, generator=random) * 9}
    tensors[f"{layer}.lora_B.weight"] = torch.randn(32, 2, generator=random) * 9
    (folder / "models" / "loras").mkdir(exist_ok=True)
    save_file(tensors, folder / "models" / "loras" / "ink.safetensors")
    plain = pixels(local.run(ask(listed["flux1-dev"]), recorder()))
    assert furthest(pixels(local.run(ask(listed["flux1-dev"], loras=[{"name": "ink"}]), recorder())), plain) > NEAR
    np.testing.assert_array_equal(pixels(local.run(ask(listed["flux1-dev"]), recorder())), plain)


@pytest.mark.parametrize("name", ["flux1-dev", "klein"])
def test_what_a_family_cannot_be_told_is_said_and_not_ignored(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any, name: str
) -> None:
    drawn = local.run(ask(listed[name], guidance_scale=4.0, negative_prompt="a pear"), recorder())
    assert "says nothing here" in drawn.warnings[0]
    with pytest.raises(InvalidRequest):
        ask(listed[name], controlnet={"name": "any", "image": encode_png(PIXELS)})


def test_each_has_its_own_defaults_and_licence(listed: Mapping[str, ModelInfo]) -> None:
    told = {
        name: (info.description, info.defaults.steps, info.defaults.guidance_scale) for name, info in listed.items()
    }
    assert told["flux1-dev"] == ("A FLUX.1 dev model", 28, 3.5)
    assert told["klein"] == ("A FLUX.2 klein 4B model", 4, 1.0)
    assert told["klein-base"] == ("A FLUX.2 klein base 4B model", 50, 4.0)
    assert told["qwen-image"] == ("A Qwen-Image model", 50, 4.0)
    assert told["sd3"] == ("A Stable Diffusion 3.5 Medium model", 40, 4.5)
    assert told["chroma"] == ("A Chroma1 model", 35, 5.0)
    assert told["krea2"] == ("A Krea 2 model", 28, 4.5)
    assert listed["klein"].licence == listed["qwen-image"].licence == "Apache-2.0"
    assert listed["flux1-dev"].licence.endswith("FLUX.1-dev/blob/main/LICENSE.md")
    assert listed["flux1-dev"].defaults == Defaults(28, 3.5, 1024, 1024)


PUBLISHED: Mapping[str, tuple[str, dict[str, Any], dict[str, dict[str, Any]]]] = {
    "FLUX.1 schnell": (
        "FluxPipeline",
        {},
        {"transformer": {"in_channels": 64, "guidance_embeds": False}, "vae": {"latent_channels": 16}},
    ),
    "FLUX.2 klein 9B": ("Flux2KleinPipeline", {"is_distilled": True}, {"transformer": {"joint_attention_dim": 12288}}),
    "FLUX.2 klein base 9B": ("Flux2KleinPipeline", {}, {"transformer": {"joint_attention_dim": 12288}}),
    "Stable Diffusion 3.5 Large": ("StableDiffusion3Pipeline", {}, {"transformer": {"num_layers": 38}}),
    "Stable Diffusion 3 Medium": ("StableDiffusion3Pipeline", {}, {"transformer": {"num_layers": 24}}),
    "Krea 2 Turbo": ("Krea2Pipeline", {"is_distilled": True}, {}),
}


@pytest.mark.parametrize("title", list(PUBLISHED))
def test_a_published_model_is_told_by_its_configurations(title: str) -> None:
    from visioncraft_local_sd.families.table import recognised

    pipeline, settings, configs = PUBLISHED[title]
    _, edition = recognised({"_class_name": pipeline, **settings}, lambda part: configs.get(part, {}))
    assert edition.title == title
    assert (edition.defaults.steps <= 8) == edition.distilled


@pytest.mark.parametrize("pipeline", ["QwenImageEditPlusPipeline", "FluxFillPipeline", "DiffusionPipeline", "Made.Up"])
def test_a_pipeline_that_is_not_on_the_list_is_never_loaded(folder: Path, tmp_path: Path, pipeline: str) -> None:
    spoiled = shutil.copytree(folder / "models" / "flux1-dev", tmp_path / "spoiled")
    index = json.loads((spoiled / "model_index.json").read_text())
    (spoiled / "model_index.json").write_text(json.dumps({**index, "_class_name": pipeline}))
    with pytest.raises(CheckpointRefused, match="names the pipeline"):
        read_checkpoint(spoiled)


@pytest.mark.parametrize(
    ("part", "classes"),
    [
        ("transformer", ["diffusers", "QwenImageTransformer2DModel"]),
        ("text_encoder_2", ["transformers", "AutoModel"]),
        ("tokenizer_2", ["evil", "T5Tokenizer"]),
        ("transformer", [1, 2]),
    ],
)
def test_a_class_that_is_not_the_familys_is_never_loaded(
    folder: Path, tmp_path: Path, part: str, classes: list[Any]
) -> None:
    spoiled = shutil.copytree(folder / "models" / "flux1-dev", tmp_path / "spoiled")
    index = json.loads((spoiled / "model_index.json").read_text())
    (spoiled / "model_index.json").write_text(json.dumps({**index, part: classes}))
    with pytest.raises(CheckpointRefused, match=part):
        read_checkpoint(spoiled)


def test_a_transformer_that_fills_is_refused_by_what_it_reads(folder: Path, tmp_path: Path) -> None:
    spoiled = shutil.copytree(folder / "models" / "flux1-dev", tmp_path / "spoiled")
    config = spoiled / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 384}))
    with pytest.raises(CheckpointRefused, match="a transformer of 384 channels"):
        read_checkpoint(spoiled)


def test_half_a_surrogate_pair_in_a_text_is_drawn_as_a_question_mark(
    local: LocalSD, listed: Mapping[str, ModelInfo], recorder: Any
) -> None:
    halved, marked = (
        replace(ask(listed["sd3"], guidance_scale=3.0), prompt=f"an apple{end}", negative_prompt=f"a pear{end}")
        for end in ("\ud83c", "?")
    )
    np.testing.assert_array_equal(pixels(local.run(halved, recorder())), pixels(local.run(marked, recorder())))
