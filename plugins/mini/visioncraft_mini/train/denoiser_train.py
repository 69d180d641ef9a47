"""Train text encoder and UNet on the cached latents."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from visioncraft_mini.train import latents, parallel, vae_grow, warm
from visioncraft_mini.train.captions import Captioner
from visioncraft_mini.train.checkpoint import Training
from visioncraft_mini.train.clock import Clock, Every
from visioncraft_mini.train.denoiser import Denoiser, draw_steps
from visioncraft_mini.train.optim import Average, Pair
from visioncraft_mini.train.samples import Batch, Samples
from visioncraft_mini.train.tokens import new_tokenizer

BATCH = 24
MUON_RATE, ADAM_RATE = 0.02, 2e-3
CHECKPOINT = "denoiser"


def prepare(modules: Path, run: Path) -> None:
    """The tokenizer and the cached latents, made once and kept beside the checkpoints."""
    if not (run / "tokenizer").exists():
        new_tokenizer(Captioner(modules, 0).words()).save_pretrained(run / "tokenizer")
    if not (run / "latents.pt").exists():
        sizes = latents.encode_all(vae_grow.grown(run / vae_grow.GROWN).to(parallel.device()), modules)
        start = warm.start_of(run)
        deviation = start["deviation"] if start else latents.spread(sizes[256, 256])
        torch.save({"sizes": sizes, "deviation": deviation}, run / "latents.pt")


def new_training(run: Path, tokenizer: CLIPTokenizer, minutes: float) -> Training[Denoiser]:
    """Fresh weights, or those that the run started from; the same in every process."""
    torch.manual_seed(1)
    model = Denoiser(tokenizer)
    start = warm.start_of(run)
    if start:
        model.load_state_dict(start["model"])
    model.to(parallel.device())
    model.unet.to(memory_format=torch.channels_last)
    return Training(model, Pair(model, MUON_RATE, ADAM_RATE), Average(model, 0.995), Clock(minutes * 60))


def load_samples(modules: Path, run: Path, tokenizer: CLIPTokenizer) -> Samples:
    """The cached latents at deviation 1, with captions of this process's own."""
    cache = torch.load(run / "latents.pt", weights_only=True)
    scaled = {size: rows / cache["deviation"] for size, rows in cache["sizes"].items()}
    return Samples(scaled, modules, tokenizer, seed=parallel.rank())


def rate_at(progress: float, step: int) -> float:
    """Warm up for 100 steps, hold, then fall linearly over the last half of the time."""
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.01, (1 - progress) / 0.5))


def lean_at(progress: float) -> float:
    """High noise first: concepts before details; even weight from half time on."""
    return 1.0 + max(0.0, 1 - 2 * progress)


def errors_of(model: Denoiser, batch: Batch, lean: float) -> tuple[Tensor, Tensor]:
    """Each sample's squared error [n] at random time steps, and the steps [n]."""
    place, steps = parallel.device(), draw_steps(len(batch.clean), lean)
    clean = batch.clean.to(place).contiguous(memory_format=torch.channels_last)
    errors: Tensor = model(clean, batch.tokens.to(place), steps.to(place))
    return errors, steps


def _work(modules: Path, run: Path, minutes: float) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(run / "tokenizer")
    training = new_training(run, tokenizer, minutes)
    training.restore(run / CHECKPOINT)
    samples = load_samples(modules, run, tokenizer)
    torch.manual_seed(1000 * training.step + parallel.rank())
    report, keep = Every(20), Every(120)
    losses: list[float] = []
    progress = parallel.shared_number(training.clock.progress)
    while progress < 1:
        batch = samples.batch(BATCH)
        errors, steps = errors_of(training.model, batch, lean_at(progress))
        progress = training.advance(errors.mean(), len(errors), rate_at(progress, training.step))
        samples.emphasis.note(batch.concepts, steps, errors.detach())
        losses.append(float(errors.detach().mean()))
        if parallel.rank() == 0 and report.due():
            _report(training, losses)
        if parallel.rank() == 0 and keep.due():
            training.save(run / CHECKPOINT)
    if parallel.rank() == 0:
        training.save(run / CHECKPOINT)


def _report(training: Training[Denoiser], losses: list[float]) -> None:
    """One line of progress; starts the next mean of the loss."""
    spent, mean = training.clock.spent, sum(losses) / len(losses)
    print(f"denoiser {spent:6.0f} s  step {training.step}  seen {training.seen}"
          f"  loss {mean:.4f}  rate {training.seen / spent:.1f}/s", flush=True)  # fmt: skip
    losses.clear()


def train(modules: Path, run: Path, minutes: float, processes: int) -> None:
    """Train for ``minutes`` in all, restarts included; the checkpoint is the folder ``run/denoiser``."""
    prepare(modules, run)
    parallel.run(partial(_work, modules, run, minutes), processes)
