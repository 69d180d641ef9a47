"""Train the inner codec: factor 8 on the 256 px originals. The 512 px level is added by ``vae_grow``."""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from visioncraft_mini.train import parallel, pictures, vae
from visioncraft_mini.train.checkpoint import Training, read_pieces
from visioncraft_mini.train.clock import Clock, Every
from visioncraft_mini.train.optim import Average, Pair
from visioncraft_mini.train.words import codec_codes, held_out_codes

CHECKPOINT = "vae"


def new_training(minutes: float) -> Training[AutoencoderKL]:
    """A fresh codec, the same in every process."""
    torch.manual_seed(0)
    model = vae.new_vae().to(parallel.device(), memory_format=torch.channels_last)
    return Training(model, Pair(model, muon=0.02, adam=2e-3), Average(model, 0.995), Clock(minutes * 60))


def averaged(path: Path) -> AutoencoderKL:
    """The averaged codec of a checkpoint."""
    model = vae.new_vae()
    model.load_state_dict(read_pieces(path)["average"])
    return model.eval().requires_grad_(False)


def _work(modules: Path, run: Path, minutes: float) -> None:
    codes, weights = codec_codes(modules)
    cutouts = pictures.load_cutouts(modules, codes)
    training = new_training(minutes)
    training.restore(run / CHECKPOINT)
    torch.manual_seed(1000 * training.step + parallel.rank())
    report, keep = Every(20), Every(120)
    progress = parallel.shared_number(training.clock.progress)
    while progress < 1:
        phase = vae.phase_at(progress)
        images = pictures.random_crops(cutouts, phase.batch, phase.side, weights).to(parallel.device())
        loss, error = vae.step_loss(training.model, images.contiguous(memory_format=torch.channels_last))
        progress = training.advance(loss, phase.batch, vae.rate_at(progress, training.step))
        if parallel.rank() == 0 and report.due():
            print(f"vae {training.clock.spent:6.0f} s  step {training.step}  crop {phase.side}"
                  f"  loss {loss.item():.4f}  psnr {vae.psnr(error):.2f} dB", flush=True)  # fmt: skip
        if parallel.rank() == 0 and keep.due():
            training.save(run / CHECKPOINT)
    if parallel.rank() == 0:
        training.save(run / CHECKPOINT)
        _report(run / CHECKPOINT, modules)


def _report(path: Path, modules: Path) -> None:
    held_out = pictures.load_cutouts(modules, held_out_codes())
    print(f"vae done: {vae.measure_psnr(averaged(path), held_out):.2f} dB on held-out pictures", flush=True)


def train(modules: Path, run: Path, minutes: float, processes: int) -> None:
    """Train for ``minutes`` in all, restarts included; the checkpoint is the folder ``run/vae``."""
    parallel.run(partial(_work, modules, run, minutes), processes)
