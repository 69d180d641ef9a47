"""Drawing with real pipelines: seeds, samplers, guidance, cancel, and the layouts a checkpoint can have."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from together import ON_CUDA
from visioncraft import GeneratedImage, InvalidRequest, JobCancelled, ModelNotAvailable
from visioncraft_local_sd.denoising.schedulers import sampler_names
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
DenoiserCall = Callable[..., Any]
LONG = (
    100 if os.environ.get("VISIONCRAFT_SOAK") else 3
)  # prompts that take a hundred calls of the text encoder, and many more


def pixels(image: GeneratedImage) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image.png)).convert("RGB")).astype(int)


def test_a_picture_has_the_size_the_seed_and_the_facts_of_its_request(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    image = local.run(ask(sd1, width=96, height=64, seed=123), recorder())
    assert pixels(image).shape == (64, 96, 3)
    assert (image.width, image.height, image.seed) == (96, 64, 123)
    assert (image.vram_used > 0) is ON_CUDA
    assert image.facts["sampler"] == "pndm"
    assert image.facts["dtype"] == "fp32"
    assert str(image.facts["engine"]).startswith("diffusers 0.")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_picture(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    first = local.run(ask(sd1, seed=5), recorder())
    assert local.run(ask(sd1, seed=5), recorder()).png == first.png
    assert local.run(ask(sd1, seed=6), recorder()).png != first.png


def test_the_picture_is_the_one_stock_diffusers_draws(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    import diffusers
    import torch

    stock_class: Any = diffusers.StableDiffusionPipeline
    stock = stock_class.from_pretrained(sd1, local_files_only=True)
    drawn = stock(
        "a red apple",
        negative_prompt="blue",
        width=64,
        height=64,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="pil",
    ).images[0]
    request = ask(sd1, negative_prompt="blue", num_inference_steps=4, guidance_scale=5.0, seed=3)
    assert np.abs(pixels(local.run(request, recorder())) - np.asarray(drawn).astype(int)).max() <= 1


def test_xl_draws_what_stock_diffusers_draws(local: LocalSD, sdxl: Path, ask: DenoiserCall, recorder: Any) -> None:
    import diffusers
    import torch

    stock_class: Any = diffusers.StableDiffusionXLPipeline
    stock = stock_class.from_pretrained(sdxl, local_files_only=True, add_watermarker=False)
    drawn = stock(
        "a red apple",
        width=64,
        height=64,
        num_inference_steps=3,
        guidance_scale=7.5,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="pil",
    ).images[0]
    assert np.abs(pixels(local.run(ask(sdxl), recorder())) - np.asarray(drawn).astype(int)).max() <= 1


@pytest.mark.parametrize("change", [{"prompt": "a blue boat"}, {"negative_prompt": "noise"}, {"guidance_scale": 2.0}])
def test_prompt_negative_prompt_and_guidance_each_change_the_picture(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any, change: dict[str, Any]
) -> None:
    assert local.run(ask(sd1, **change), recorder()).png != local.run(ask(sd1), recorder()).png


def test_guidance_of_one_is_off_so_that_the_negative_prompt_says_nothing(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    plain = local.run(ask(sd1, guidance_scale=1.0), recorder())
    assert local.run(ask(sd1, guidance_scale=1.0, negative_prompt="noise"), recorder()).png == plain.png


@pytest.mark.parametrize("sampler", sampler_names())
def test_every_sampler_draws_reports_every_step_and_keeps_its_seed(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any, sampler: str
) -> None:
    progress = recorder()
    request = ask(sd1, sampler=sampler, num_inference_steps=4)
    image = local.run(request, progress)
    assert image.facts["sampler"] == sampler
    assert progress.steps[-1] == (4, 4)
    assert [step for step, _ in progress.steps] == sorted({step for step, _ in progress.steps})
    assert local.run(request, recorder()).png == image.png


def test_a_noise_schedule_changes_the_picture(local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any) -> None:
    plain = local.run(ask(sd1, sampler="DPM++ 2M"), recorder())
    karras = local.run(ask(sd1, sampler="DPM++ 2M Karras"), recorder())
    assert karras.facts["sampler"] == "dpm++_2m_karras"
    assert karras.png != plain.png


def test_an_unknown_sampler_is_refused_before_a_model_loads(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    local = generator_for()
    with pytest.raises(InvalidRequest) as caught:
        local.run(ask(sd1, sampler="eulr"), recorder())
    assert caught.value.details["field"] == "sampler"
    assert "'euler'" in str(caught.value.details["issue"])
    assert local.status().loaded_models == []


@pytest.mark.parametrize("sampler", ["euler", "heun", "pndm"])
def test_a_cancel_stops_within_one_step_and_the_next_picture_is_as_ever(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any, sampler: str
) -> None:
    request = ask(sd1, sampler=sampler, num_inference_steps=8)
    before = local.run(request, recorder())
    progress = recorder(cancel_at_step=3)
    with pytest.raises(JobCancelled):
        local.run(request, progress)
    assert progress.steps[-1] == (3, 8)
    assert "decoding" not in progress.stages
    assert local.run(request, recorder()).png == before.png


@pytest.mark.parametrize(
    "prompt", ["", "word " * (200 * LONG), "x" * (1000 * LONG), "\ud800 broken", "\x00\x1b[31m", "苹果 🍎"]
)
def test_any_text_is_a_prompt(local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any, prompt: str) -> None:
    assert local.run(ask(sd1, prompt=prompt, num_inference_steps=1), recorder()).width == 64


def test_a_folder_with_only_fp16_weights_loads(
    local: LocalSD, copy_of_sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    for weights in copy_of_sd1.rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    assert local.run(ask(copy_of_sd1), recorder()).width == 64


def test_a_safety_checker_that_the_index_names_as_on_the_hub_is_passed_by(
    local: LocalSD, copy_of_sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    index = copy_of_sd1 / "model_index.json"
    as_on_the_hub = {
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    }
    content = json.loads(index.read_text())
    del content["requires_safety_checker"]
    index.write_text(json.dumps({**content, **as_on_the_hub}))
    assert local.run(ask(copy_of_sd1), recorder()).width == 64


def test_a_model_in_the_hugging_face_cache_is_found_by_its_hub_id_without_a_network(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any, tmp_path: Path
) -> None:
    local = generator_for()
    root = tmp_path / "hf" / "models--someone--tiny"
    shutil.copytree(sd1, root / "snapshots" / "abc123")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc123")
    request = ask(sd1)
    request = replace(request, model=replace(request.model, source="someone/tiny"))
    assert local.run(request, recorder()).width == 64


def test_weights_that_are_nowhere_are_reported_with_the_models_that_can_draw(
    local: LocalSD, ask: DenoiserCall, recorder: Any, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotAvailable) as caught:
        local.run(ask(tmp_path / "nowhere"), recorder())
    assert "does not exist" in str(caught.value.details["suggestion"])


@pytest.mark.parametrize(("guidance", "told"), [(1.0, 1), (0.0, 1), (5.0, 0)])
def test_a_negative_prompt_that_says_nothing_is_told(
    local: LocalSD, sd1: Path, ask: DenoiserCall, recorder: Any, guidance: float, told: int
) -> None:
    image = local.run(ask(sd1, negative_prompt="blue", guidance_scale=guidance, num_inference_steps=1), recorder())
    assert len([each for each in image.warnings if "negative prompt says nothing" in each]) == told


@pytest.mark.parametrize("preview", ["linear", "off"])
def test_denoiser_numbers_beyond_the_precision_are_named_and_not_drawn_black(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any, preview: str
) -> None:
    local = generator_for(preview=preview, preview_every=1)
    from visioncraft import GenerationFailed

    request = ask(sd1)
    with local._held(request.model, recorder()) as loaded:
        loaded.pipe.unet.conv_out.bias.data.fill_(float("nan"))
    with pytest.raises(GenerationFailed, match="dtype to fp32"):
        local.run(request, recorder())


@pytest.mark.parametrize("preview", ["linear", "off"])
def test_a_vae_that_gives_no_numbers_is_named_whether_or_not_there_are_previews(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any, preview: str
) -> None:
    from visioncraft import GenerationFailed

    local, watcher = generator_for(preview=preview, preview_every=1), recorder()
    with local._held(ask(sd1).model, recorder()) as loaded:
        loaded.pipe.vae.decoder.conv_in.bias.data.fill_(float("nan"))
    with pytest.raises(GenerationFailed, match="VAE is damaged"):
        local.run(ask(sd1), watcher)
    assert watcher.previews == []


@pytest.mark.parametrize("preview", ["linear", "off"])
def test_a_vae_that_overflows_is_upcast_and_draws(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any, monkeypatch: pytest.MonkeyPatch, preview: str
) -> None:
    import torch

    local = generator_for(preview=preview, preview_every=1)
    request = ask(sd1)
    with local._held(request.model, recorder()) as loaded:
        vae = loaded.pipe.vae.to(torch.bfloat16)  # as on a GPU, in a precision that it overflows
        decode = vae.decode

        def overflowing(latents: Any, **options: Any) -> Any:
            (image,) = decode(latents, **options)
            return (image * float("nan") if latents.dtype != torch.float32 else image,)

        monkeypatch.setattr(vae, "decode", overflowing)
    image = local.run(request, recorder())
    assert (vae.dtype, image.facts["dtype"]) == (torch.float32, "fp32")
    assert pixels(image).max() > 0


def test_a_text_is_encoded_once_and_again_when_what_it_means_may_have_changed(
    generator_for: Make, sd1: Path, ask: DenoiserCall, recorder: Any
) -> None:
    local, calls = generator_for(), []
    with local._held(ask(sd1).model, recorder()) as loaded:
        loaded.pipe.text_encoder.register_forward_hook(lambda *call: calls.append(1))
    pictures = {local.run(ask(sd1, seed=5, negative_prompt="blue"), recorder()).png for _ in range(3)}
    assert (len(pictures), len(calls)) == (1, 2)
    local.run(ask(sd1, negative_prompt="green"), recorder())
    assert len(calls) == 4
    embeddings = local._library.models_dir / "embeddings"
    embeddings.mkdir(parents=True)
    (embeddings / "zork.safetensors").touch()
    local.run(ask(sd1, negative_prompt="blue"), recorder())
    assert len(calls) == 6
