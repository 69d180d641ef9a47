import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTokenizer
from visioncraft_mini.plugin import WEIGHTS
from visioncraft_mini.train import denoiser, denoiser_train, latents, scenes, vae, vae_grow, warm
from visioncraft_mini.train.checkpoint import PIECE, Training, read_pieces, write_pieces
from visioncraft_mini.train.clock import Clock
from visioncraft_mini.train.optim import Average, Pair, orthogonalise
from visioncraft_mini.train.samples import Batch, Emphasis


def test_newton_schulz_brings_all_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((32, 48), (48, 32)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
        assert values.min() > 0.5
        assert values.max() < 1.4


def test_the_growing_codec_keeps_the_inner_latents_format() -> None:
    inner = vae.new_vae()
    outer = vae_grow.grow(inner)
    same = outer.state_dict()
    assert torch.equal(same["decoder.conv_in.weight"], inner.state_dict()["decoder.conv_in.weight"])
    assert torch.equal(
        same["encoder.mid_block.resnets.0.conv1.weight"], inner.encoder.mid_block.resnets[0].conv1.weight
    )
    assert vae.encode_mean(outer, torch.zeros(1, 3, 64, 64)).shape == (1, 4, 4, 4)


def test_bilinear_start_enlarges_a_ramp_without_steps() -> None:
    convolution = torch.nn.Conv2d(1, 1, 3, padding=1)
    vae_grow._set_bilinear(convolution)
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    large = convolution(torch.nn.functional.interpolate(ramp, scale_factor=2, mode="nearest"))
    steps = large[0, 0, 8, 2:-2].diff()
    assert torch.allclose(steps, torch.full_like(steps, 0.5), atol=1e-5)


def test_the_schedule_ends_in_pure_noise_and_never_clips() -> None:
    scheduler = denoiser.new_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) < 1e-6
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.timestep_spacing == "trailing"
    assert scheduler.config.clip_sample is False


def test_leaning_steps_favour_high_noise() -> None:
    torch.manual_seed(0)
    even, leaning = denoiser.draw_steps(4000, 1.0).float().mean(), denoiser.draw_steps(4000, 2.0).float().mean()
    assert abs(even - 500) < 30
    assert leaning > 600


def test_a_framed_picture_keeps_its_paper_at_the_sides() -> None:
    framed = latents.framed(torch.zeros(1, 3, 256, 256), 256, 384, torch.ones(3))
    assert framed.shape == (1, 3, 256, 384)
    assert torch.all(framed[..., :64] == 1)
    assert torch.all(framed[..., 64:320] == 0)


def test_shares_of_the_variants_add_up() -> None:
    variants = latents.all_variants()
    weights = latents.variant_weights(variants)
    assert float(weights.sum()) == pytest.approx(1)
    plain = torch.tensor([not variant.colour and not variant.paper for variant in variants])
    assert float(weights[plain].sum()) == pytest.approx(0.86)


def test_recolouring_turns_red_to_blue_and_leaves_gray_alone() -> None:
    rgba = torch.tensor([[220, 128], [20, 128], [30, 128], [255, 255]], dtype=torch.uint8).view(4, 1, 2)
    red, gray = scenes.recoloured(rgba, 355.0, scenes.HUES["blue"])[:3, 0].unbind(1)
    assert int(red.argmax()) == 2
    assert gray.tolist() == [128, 128, 128]


def word_lists(folder: Path) -> Path:
    """The two npm packages of words in their own layout, with one emoji in each."""
    for name, content in (
        ("emojibase-data/en/data.json", [{"hexcode": "1F431", "tags": ["purring"]}]),
        ("emojilib/dist/emoji-en-US.json", {"\U0001f431": ["quokkalike"]}),
    ):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content), "utf-8")
    return folder


def test_a_run_that_starts_from_the_shipped_weights_knows_what_they_know(tmp_path: Path) -> None:
    warm.adopt(WEIGHTS, word_lists(tmp_path / "modules"), tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    shipped = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    assert tokenizer("a red apple").input_ids == shipped("a red apple").input_ids
    assert tokenizer.tokenize("quokkalike") == ["quokkalike</w>"]
    assert len(shipped.tokenize("quokkalike")) > 1
    training = denoiser_train.new_training(tmp_path, tokenizer, 1)
    old = load_file(WEIGHTS / "unet" / "diffusion_pytorch_model.safetensors")["conv_in.weight"].float()
    assert torch.equal(training.model.unet.conv_in.weight, old)
    words = training.model.text.get_input_embeddings().weight
    text = load_file(WEIGHTS / "text_encoder" / "model.safetensors")
    (known,) = [value for name, value in text.items() if name.endswith("token_embedding.weight")]
    assert torch.equal(words[: len(known)], known.float())
    assert len(words) == len(tokenizer) > len(known)
    learn_once(training)
    assert not torch.equal(training.model.unet.conv_in.weight, old)


def learn_once(training: Training[denoiser.Denoiser]) -> None:
    batch = Batch(torch.randn(2, 4, 8, 8), torch.randint(0, 3000, (2, 77)), torch.tensor([0, -1]))
    errors, steps = denoiser_train.errors_of(training.model, batch, lean=1.0)
    assert errors.shape == steps.shape == (2,)
    training.advance(errors.mean(), 2, 1.0)
    assert all(torch.isfinite(weight).all() for weight in training.model.parameters())


def test_both_codecs_learn_from_a_crop() -> None:
    small = torch.rand(1, 3, 32, 32) * 2 - 1
    inner = vae.new_vae()
    loss, error = vae.step_loss(inner, small)
    loss.backward()  # type: ignore[no-untyped-call]
    assert 0 < float(error) < 4
    outer = vae_grow.grow(inner)
    vae_grow.grow_loss(outer, inner, small, encoder=True).backward()  # type: ignore[no-untyped-call]
    learning = {name for name, weight in outer.named_parameters() if weight.grad is not None}
    assert learning == {name for name, weight in outer.named_parameters() if weight.requires_grad}


def small_training(seed: int) -> Training[nn.Linear]:
    torch.manual_seed(seed)
    model = nn.Linear(4, 3)
    return Training(model, Pair(model, 0.02, 1e-2), Average(model, 0.5), Clock(60))


def test_a_training_goes_on_where_its_checkpoint_stopped(tmp_path: Path) -> None:
    batch, first, second = torch.randn(8, 4), small_training(0), small_training(1)
    for _ in range(3):
        first.advance(first.model(batch).square().mean(), 8, 1.0)
    first.save(tmp_path / "run")
    second.restore(tmp_path / "run")
    assert (second.step, second.seen) == (3, 24)
    for training in (first, second):
        training.advance(training.model(batch).square().mean(), 8, 1.0)
    assert torch.equal(first.model.weight, second.model.weight)
    assert torch.equal(first.average.shadow["weight"], second.average.shadow["weight"])


def test_a_checkpoint_comes_in_pieces_of_at_most_16_mebibytes(tmp_path: Path) -> None:
    content = {"weights": torch.randn(5 * 2**20)}
    write_pieces(tmp_path / "run", content)
    sizes = [path.stat().st_size for path in (tmp_path / "run").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= PIECE == 16 * 1024 * 1024
    assert torch.equal(read_pieces(tmp_path / "run")["weights"], content["weights"])


def test_a_kill_between_the_two_renames_leaves_the_former_checkpoint(tmp_path: Path) -> None:
    write_pieces(tmp_path / "run", {"step": 1})
    (tmp_path / "run").rename(tmp_path / "run.old")
    assert read_pieces(tmp_path / "run") == {"step": 1}
    assert read_pieces(tmp_path / "other") is None


def test_what_is_drawn_badly_is_drawn_more_often() -> None:
    emphasis = Emphasis(2)
    for _ in range(50):
        emphasis.note(torch.tensor([0, 1, -1]), torch.tensor([500, 500, 500]), torch.tensor([0.4, 0.1, 0.2]))
    bad, good = emphasis.weights().tolist()
    assert bad > 1 > good >= 0.5
