import pytest
import torch
from visioncraft_mini.train import denoiser, latents, scenes, vae, vae_grow
from visioncraft_mini.train.optim import orthogonalise


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
