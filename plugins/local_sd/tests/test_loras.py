"""LoRAs, ControlNets and learned words, beside diffusers' own pipelines, and nothing left of them afterwards."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from visioncraft import InvalidRequest, ModelInfo, canonical_id, decode_png, encode_png
from visioncraft.jobs.requests import build_request
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings

SIDE, STEPS = 128, 2
Draw = Callable[..., np.ndarray]


def random_lora(mini: Path, path: Path, seed: int, strong: float = 0.2) -> Path:
    """A LoRA of random weights for the embedded model's cross-attention and its text encoder."""
    import diffusers
    import transformers

    random = torch.Generator().manual_seed(seed)
    parts: Mapping[str, Any] = {
        "unet": diffusers.UNet2DConditionModel.from_pretrained(str(mini / "unet")),
        "text_encoder": transformers.CLIPTextModel.from_pretrained(str(mini / "text_encoder")),
    }
    tensors = {}
    for prefix, network in parts.items():
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Linear) and name.endswith(("to_k", "to_v", "q_proj")):
                rows, columns = module.weight.shape
                tensors[f"{prefix}.{name}.lora_A.weight"] = torch.randn(2, columns, generator=random) * strong
                tensors[f"{prefix}.{name}.lora_B.weight"] = torch.randn(rows, 2, generator=random) * strong
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def studio(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSD]:
    """A generator whose folder of models has parts for the embedded model."""
    import diffusers

    folder = tmp_path_factory.mktemp("studio")
    models = folder / "data" / "models"
    random_lora(mini, models / "loras" / "ink.safetensors", 1)
    random_lora(mini, models / "loras" / "ash.safetensors", 2)
    save_file(
        {"unet.down_blocks.2.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": torch.zeros(2, 768),
         "unet.down_blocks.2.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": torch.zeros(320, 2)},
        models / "loras" / "foreign.safetensors",
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(mini / "unet"))
    torch.manual_seed(3)
    controlnet = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16, 32))
    for parameter in controlnet.controlnet_down_blocks.parameters():  # zero at birth: such a network says nothing
        torch.nn.init.normal_(parameter, std=0.05)
    controlnet.save_pretrained(models / "controlnets" / "edges")
    (models / "embeddings").mkdir()
    save_file({"emb_params": torch.randn(2, 192)}, models / "embeddings" / "zork.safetensors")
    settings = LocalSDSettings(device="cpu", dtype="fp32", concurrency=4, hf_cache=str(folder / "hf"))
    generator = LocalSD(settings, data_path=folder / "data")
    yield generator
    generator.close()


@pytest.fixture
def draw(studio: LocalSD, mini_model: ModelInfo, recorder: Any) -> Draw:
    def drawn(**asked: Any) -> np.ndarray:
        defaults = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "seed": 7, "width": SIDE, "height": SIDE}
        request = build_request(mini_model, asked.pop("prompt", "red apple"), **{**defaults, **asked})
        return decode_png(studio.run(request, recorder()).png).astype(int)

    return drawn


def models_of(studio: LocalSD) -> Path:
    return studio._library.models_dir


def loaded(studio: LocalSD, model: ModelInfo, recorder: Any) -> Any:
    """The pipeline in memory."""
    studio.load(model, recorder())
    return studio._cache._entries[canonical_id(model.id)].item.pipe


def digest(pipe: Any) -> str:
    """Of every weight by its name."""
    whole = hashlib.sha256()
    for network in (pipe.unet, pipe.text_encoder):
        for name, tensor in sorted(network.state_dict().items()):
            whole.update(name.encode() + tensor.numpy().tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def stock(mini: Path) -> Callable[..., np.ndarray]:
    """A stock pipeline of diffusers, prepared by the caller and drawn with."""
    import diffusers

    def drawn(prepare: Callable[[Any], Any], **options: Any) -> np.ndarray:
        pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(mini), dtype=torch.float32, safety_checker=None)
        pipe = prepare(pipe) or pipe
        pipe.set_progress_bar_config(disable=True)
        defaults = {"prompt": "red apple", "num_inference_steps": STEPS, "guidance_scale": 5.0}
        size = {"width": SIDE, "height": SIDE}
        generator = torch.Generator().manual_seed(7)
        return np.asarray(pipe(**{**defaults, **size, **options}, generator=generator).images[0]).astype(int)

    return drawn


def test_loras_in_their_weights_draw_what_diffusers_draws(
    draw: Draw, stock: Callable[..., np.ndarray], studio: LocalSD
) -> None:
    def prepare(pipe: Any) -> None:
        for name in ("ink", "ash"):
            pipe.load_lora_weights(
                str(models_of(studio) / "loras"), weight_name=f"{name}.safetensors", adapter_name=name
            )
        pipe.set_adapters(["ink", "ash"], [0.8, -0.5])

    ours = draw(loras=[{"name": "Ink", "weight": 0.8}, {"name": "ash", "weight": -0.5}])
    theirs = stock(prepare)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours - draw()).max() > 20, "they change the picture"


def test_a_lora_leaves_no_byte_changed(draw: Draw, studio: LocalSD, mini_model: ModelInfo, recorder: Any) -> None:
    plain = draw()
    before = digest(loaded(studio, mini_model, recorder))
    draw(loras=[{"name": "ink"}, {"name": "ash", "weight": 2}])
    assert digest(loaded(studio, mini_model, recorder)) == before
    np.testing.assert_array_equal(draw(), plain)


def test_requests_with_and_without_loras_are_drawn_together_as_alone(draw: Draw) -> None:
    asked: list[dict[str, Any]] = [
        {},
        {"loras": [{"name": "ink"}]},
        {"loras": [{"name": "ink", "weight": 0.3}]},
        {"loras": [{"name": "ash"}, {"name": "ink"}], "seed": 8},
    ]
    alone = [draw(**each) for each in asked]
    with ThreadPoolExecutor(len(asked)) as together:
        drawn = list(together.map(lambda each: draw(**each), asked * 2))
    for picture, expected in zip(drawn, alone * 2, strict=True):
        assert np.abs(picture - expected).max() <= 1


@pytest.mark.parametrize(
    ("field", "asked", "words"),
    [
        ("loras.1.name", {"loras": [{"name": "ink"}, {"name": "absent"}]}, "known: ash, foreign, ink"),
        ("loras.1.name", {"loras": [{"name": "ink"}, {"name": "INK"}]}, "named twice"),
        ("loras.0.name", {"loras": [{"name": "foreign"}]}, "does not fit"),
        ("controlnet.name", {"controlnet": {"name": "x", "image": encode_png(np.zeros((8, 8, 3), np.uint8))}}, "edges"),
        ("upscaler", {"upscaler": "absent"}, "'lanczos' is always there"),
        ("hires.upscaler", {"hires": {"upscaler": "absent", "scale": 1.5}}, "'lanczos' is always there"),
    ],
)
def test_a_part_that_is_absent_or_does_not_fit_is_named_and_leaves_the_model_whole(
    draw: Draw, studio: LocalSD, mini_model: ModelInfo, recorder: Any, field: str, asked: dict[str, Any], words: str
) -> None:
    plain = draw()
    before = digest(loaded(studio, mini_model, recorder))
    with pytest.raises(InvalidRequest) as caught:
        draw(**asked)
    assert caught.value.details["field"] == field and words in str(caught.value.details["issue"])
    assert digest(loaded(studio, mini_model, recorder)) == before
    np.testing.assert_array_equal(draw(), plain)


def test_many_loads_and_unloads_keep_the_memory(studio: LocalSD, mini_model: ModelInfo, recorder: Any) -> None:
    from visioncraft import LoRA
    from visioncraft_local_sd.loras.merged import LoRAs

    pipe = loaded(studio, mini_model, recorder)
    loras = LoRAs(pipe, lambda name: models_of(studio) / "loras" / f"{name}.safetensors")

    def cycle(times: int) -> int:
        for _ in range(times):
            with loras.held([LoRA("ink"), LoRA("ash", 0.5)]):
                loras.activate((LoRA("ink"), LoRA("ash", 0.5)))
        gc.collect()
        return sum(isinstance(each, torch.nn.Module) for each in gc.get_objects())

    assert cycle(3) == cycle(10), "no layer stays behind"


def test_a_controlnet_draws_what_diffusers_draws(draw: Draw, stock: Callable[..., np.ndarray], studio: LocalSD) -> None:
    import diffusers
    from PIL import Image

    edges = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    network = diffusers.ControlNetModel.from_pretrained(str(models_of(studio) / "controlnets" / "edges"))
    theirs = stock(
        lambda pipe: diffusers.StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=network),
        image=Image.fromarray(edges),
        controlnet_conditioning_scale=0.7,
    )
    ours = draw(controlnet={"name": "edges", "image": encode_png(edges), "scale": 0.7})
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours - draw()).max() > 1
    assert np.abs(draw(controlnet={"name": "edges", "image": encode_png(edges), "scale": 0.0}) - draw()).max() <= 1


def test_a_learned_word_and_a_lora_count_from_the_moment_their_files_are_there_or_changed(
    draw: Draw, studio: LocalSD, mini: Path
) -> None:
    word, lora = (models_of(studio) / name for name in ("embeddings/blorp.safetensors", "loras/late.safetensors"))
    plain = draw(prompt="red blorp")
    save_file({"emb_params": torch.full((1, 192), 3.0)}, word)
    assert np.abs(draw(prompt="red blorp") - plain).max() > 1
    word.unlink()
    np.testing.assert_array_equal(draw(prompt="red blorp"), plain)
    random_lora(mini, lora, 4)
    first = draw(loras=[{"name": "late"}])
    random_lora(mini, lora, 5)
    assert np.abs(draw(loras=[{"name": "late"}]) - first).max() > 1
    lora.unlink()


def test_a_learned_word_draws_what_diffusers_draws_and_is_forgotten(
    draw: Draw, stock: Callable[..., np.ndarray], studio: LocalSD, mini_model: ModelInfo, recorder: Any
) -> None:
    file = models_of(studio) / "embeddings" / "zork.safetensors"
    before = digest(loaded(studio, mini_model, recorder))
    theirs = stock(lambda pipe: pipe.load_textual_inversion(str(file), token="zork"), prompt="red zork apple")
    plain = draw(prompt="red zorks")
    ours = draw(prompt="red Zork apple")
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours - stock(lambda _: None, prompt="red zork apple")).max() > 1
    assert np.abs(draw(prompt="red (zork:1.4) apple") - ours).max() > 1
    np.testing.assert_array_equal(draw(prompt="red zorks", num_inference_steps=STEPS), plain)
    assert digest(loaded(studio, mini_model, recorder)) == before
    assert "zork" not in loaded(studio, mini_model, recorder).tokenizer.get_vocab()
