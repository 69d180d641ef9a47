"""Start from exported weights: what they know stays, new words and concepts come on top.

The optimisers' state is no part of an export (it is too large for a repository), so they start afresh.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from visioncraft_mini.train.captions import Captioner
from visioncraft_mini.train.tokens import extended_tokenizer
from visioncraft_mini.train.vae_grow import GROWN

START = "start.pt"


def adopt(folder: Path, modules: Path, run: Path) -> None:
    """Write a pipeline's codec, its tokenizer with the new words, and its weights as the start of a run.

    ``folder`` is what ``export`` wrote. A run that has its start already is left as it is.
    """
    if (run / START).exists():
        return
    codec = AutoencoderKL.from_pretrained(folder, subfolder="vae", dtype=torch.float32)
    torch.save(codec.state_dict(), run / GROWN)
    tokenizer = extended_tokenizer(folder / "tokenizer", Captioner(modules, 0).words())
    tokenizer.save_pretrained(run / "tokenizer")
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32)
    text.resize_token_embeddings(len(tokenizer))
    parts = {"text": text, "unet": unet}
    model = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"model": model, "deviation": 1 / codec.config.scaling_factor}, run / START)


def start_of(run: Path) -> dict[str, Any] | None:
    """What ``adopt`` wrote: the denoiser's weights and the deviation of the latents; None for a run from nothing."""
    path = run / START
    return torch.load(path, weights_only=True) if path.exists() else None
