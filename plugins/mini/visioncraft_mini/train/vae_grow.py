"""Add the 512 px level: the codec of factor 8 on 256 px becomes one of factor 16 on 512 px, with the same latents.

The originals are 256 px, so the new level has nothing to learn but enlarging and shrinking. The inner codec stays
frozen; the latents that the denoiser was trained on stay valid.
"""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from visioncraft_mini.train import parallel, pictures, vae
from visioncraft_mini.train.checkpoint import Training
from visioncraft_mini.train.clock import Clock, Every
from visioncraft_mini.train.optim import Average, Pair
from visioncraft_mini.train.vae_train import CHECKPOINT, averaged
from visioncraft_mini.train.words import codec_codes

OUTER_WIDTH = 16
GROWN = "vae512.pt"
NEW_PARTS = (
    "encoder.conv_in.",
    "encoder.down_blocks.0.",
    "encoder.down_blocks.1.resnets.0.",
    "decoder.up_blocks.3.upsamplers.",
    "decoder.up_blocks.4.",
    "decoder.conv_norm_out.",
    "decoder.conv_out.",
)


def grow(inner: AutoencoderKL) -> AutoencoderKL:
    """A codec with one more level around ``inner``; the new parts alone will be trained."""
    outer = vae.new_vae((OUTER_WIDTH, *vae.WIDTHS))
    old = {_moved(name): value for name, value in inner.state_dict().items()}
    weights = outer.state_dict()
    weights.update({name: value for name, value in old.items() if not name.startswith(NEW_PARTS)})
    outer.load_state_dict(weights)
    _set_bilinear(outer.decoder.up_blocks[3].upsamplers[0].conv)
    for name, weight in outer.named_parameters():
        weight.requires_grad_(name.startswith(NEW_PARTS))
    return outer


def _moved(name: str) -> str:
    """The name of an inner weight in the grown codec: the encoder's levels move down by one."""
    head, mark, tail = name.partition("encoder.down_blocks.")
    if not mark:
        return name
    level, _, rest = tail.partition(".")
    return f"{head}{mark}{int(level) + 1}.{rest}"


@torch.no_grad()
def _set_bilinear(conv: nn.Conv2d) -> None:
    """After nearest-neighbour doubling, [1 2 1] / 4 in both directions is exactly bilinear enlargement."""
    line = torch.tensor([0.25, 0.5, 0.25])
    conv.weight.zero_()
    conv.weight[range(conv.out_channels), range(conv.in_channels)] = line[:, None] * line
    if conv.bias is not None:
        conv.bias.zero_()


def grow_loss(outer: AutoencoderKL, inner: AutoencoderKL, small: Tensor, encoder: bool) -> Tensor:
    """Picture loss of the new decoder at double size; with ``encoder``, its latents against the inner one's too."""
    large = pictures.doubled(small).contiguous(memory_format=torch.channels_last)
    with torch.autocast(small.device.type, torch.bfloat16):
        with torch.no_grad():
            wanted = vae.encode_mean(inner, small)
        noisy = wanted + vae.LATENT_NOISE * torch.randn_like(wanted)
        drawn = outer.decoder(outer.post_quant_conv(noisy)).float()
        loss = vae.picture_loss(drawn, large)
        if encoder:
            latents = vae.encode_mean(outer, large)
            loss = loss + functional.l1_loss(latents.float(), wanted.float())
    return loss


def _start(run: Path, minutes: float, fresh: bool) -> Training[AutoencoderKL]:
    """A grown codec on its way; one that goes on trains its decoder alone, at a quarter of the rate."""
    torch.manual_seed(2)
    outer = grow(averaged(run / CHECKPOINT)).to(parallel.device(), memory_format=torch.channels_last)
    if not fresh:
        outer.load_state_dict(torch.load(run / GROWN, weights_only=True, map_location="cpu"))
        outer.encoder.requires_grad_(False)
    scale = 1.0 if fresh else 0.25
    pair = Pair(outer, muon=0.02 * scale, adam=2e-3 * scale)
    return Training(outer, pair, Average(outer, 0.99), Clock(minutes * 60))


def _work(modules: Path, run: Path, minutes: float) -> None:
    fresh = not (run / GROWN).exists()
    inner = averaged(run / CHECKPOINT).to(parallel.device(), memory_format=torch.channels_last)
    training = _start(run, minutes, fresh)
    codes, weights = codec_codes(modules)
    cutouts = pictures.load_cutouts(modules, codes)
    torch.manual_seed(training.step + parallel.rank())
    report, progress = Every(20), 0.0
    while progress < 1:
        # Whole pictures at the end: group norms see other statistics in a crop, and white paper turned slightly pink.
        count, side = (8, 64) if progress < 0.5 and fresh else (1, 256)
        small = pictures.random_crops(cutouts, count, side, weights).to(parallel.device())
        loss = grow_loss(training.model, inner, small.contiguous(memory_format=torch.channels_last), fresh)
        warm = training.step if fresh else training.step + 100
        progress = training.advance(loss, count, vae.rate_at(progress, warm))
        if parallel.rank() == 0 and report.due():
            print(f"grow {training.clock.spent:5.0f} s  step {training.step}  loss {loss.item():.4f}", flush=True)
    if parallel.rank() == 0:
        torch.save(training.average.shadow, run / GROWN)


def train(modules: Path, run: Path, minutes: float, processes: int) -> None:
    """Train the new level for ``minutes`` more; the result is ``run/vae512.pt``."""
    parallel.run(partial(_work, modules, run, minutes), processes)


def grown(path: Path) -> AutoencoderKL:
    """The grown codec of a file."""
    model = vae.new_vae((OUTER_WIDTH, *vae.WIDTHS))
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return model.eval().requires_grad_(False)
