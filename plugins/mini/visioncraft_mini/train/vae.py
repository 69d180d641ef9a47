"""The picture codec: an AutoencoderKL that turns 512x512 pixels into 32x32x4 latents and back."""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from visioncraft_mini.train import pictures

LATENT_NOISE = 0.08


@dataclass(frozen=True)
class Phase:
    """A share of the time spent on crops of one size (pixels of the 256 px originals)."""

    share: float
    side: int
    batch: int


PHASES = (Phase(0.55, 64, 16), Phase(0.27, 128, 5), Phase(0.18, 256, 2))
WIDTHS = (32, 64, 128, 128)


def new_vae(widths: tuple[int, ...] = WIDTHS) -> AutoencoderKL:
    """One block a level; no attention, so that the codec works alike at every size."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=512,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    _fix_spread(vae)
    return vae


@torch.no_grad()
def _fix_spread(vae: AutoencoderKL) -> None:
    """Make the encoder's variance a constant: the noise that the decoder is trained to bear."""
    mean_only = slice(4, 8)
    vae.quant_conv.weight[mean_only] = 0
    vae.quant_conv.bias[mean_only] = 2 * torch.log(torch.tensor(LATENT_NOISE))


def encode_mean(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Latent means of images [n, 3, h, w] in -1..1: [n, 4, h / 16, w / 16]."""
    moments: Tensor = vae.quant_conv(vae.encoder(images))
    return moments[:, :4]


def edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences of neighbours."""
    return image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]


def picture_loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    """L1 + L2 / 2, and the L1 of edges at three scales: keeps outlines without a perceptual network."""
    loss = functional.l1_loss(drawn, wanted) + 0.5 * functional.mse_loss(drawn, wanted)
    for _ in range(3):
        for ours, theirs in zip(edges(drawn), edges(wanted), strict=True):
            loss = loss + 0.5 * functional.l1_loss(ours, theirs)
        drawn, wanted = functional.avg_pool2d(drawn, 2), functional.avg_pool2d(wanted, 2)
    return loss


def latent_loss(latents: Tensor) -> Tensor:
    """Pulls each channel to mean 0 and deviation 1, and softly bounds outliers."""
    mean = latents.mean((0, 2, 3))
    spread = latents.std((0, 2, 3))
    return mean.square().mean() + (spread - 1).square().mean() + 0.1 * functional.relu(latents.abs() - 3).mean()


def step_loss(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """The training loss of one batch and its plain squared error (in the 0..1 scale)."""
    with torch.autocast(images.device.type, torch.bfloat16):
        latents = encode_mean(vae, images)
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        drawn = vae.decoder(vae.post_quant_conv(noisy)).float()
    error = functional.mse_loss(drawn.detach(), images) / 4
    return picture_loss(drawn, images) + 0.02 * latent_loss(latents.float()), error


def psnr(error: Tensor | float) -> float:
    """Peak signal-to-noise ratio in dB of a squared error on the 0..1 scale."""
    return float(-10 * torch.log10(torch.as_tensor(error)))


@torch.no_grad()
def measure_psnr(vae: AutoencoderKL, cutouts: Tensor) -> float:
    """Mean PSNR of whole pictures on white at 512x512, in float32."""
    values = []
    for cutout in cutouts:
        image = pictures.doubled(pictures.on_paper(cutout[None], torch.ones(1, 3)))
        drawn = vae.decode(encode_mean(vae, image)).sample.clamp(-1, 1)
        values.append(psnr(functional.mse_loss(drawn, image) / 4))
    return sum(values) / len(values)


def phase_at(progress: float) -> Phase:
    """The crop size for this share of the time."""
    for phase in PHASES:
        progress -= phase.share
        if progress < 0:
            return phase
    return PHASES[-1]


def rate_at(progress: float, step: int) -> float:
    """Warm up for 100 steps, hold, then fall linearly over the last 60% of the time."""
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.02, (1 - progress) / 0.6))
