"""Write what was trained as the folder that ``StableDiffusionPipeline.from_pretrained`` loads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTokenizer

from visioncraft_mini.train import vae_grow
from visioncraft_mini.train.checkpoint import read_pieces
from visioncraft_mini.train.denoiser import Denoiser, new_scheduler
from visioncraft_mini.train.denoiser_train import CHECKPOINT
from visioncraft_mini.train.graphs import write_graphs


def averaged_denoiser(run: Path, tokenizer: CLIPTokenizer) -> Denoiser:
    """The averaged text encoder and UNet of the checkpoint."""
    denoiser = Denoiser(tokenizer)
    denoiser.load_state_dict(read_pieces(run / CHECKPOINT)["average"])
    return denoiser.eval().requires_grad_(False)


def scaled_codec(run: Path) -> AutoencoderKL:
    """The codec, told what brings its latents to deviation 1."""
    codec = vae_grow.grown(run / vae_grow.GROWN)
    cache = torch.load(run / "latents.pt", weights_only=True)
    codec.register_to_config(scaling_factor=round(1 / cache["deviation"], 6))
    return codec


def pipeline(run: Path) -> StableDiffusionPipeline:
    """The whole pipeline from the checkpoints of ``run``."""
    tokenizer = CLIPTokenizer.from_pretrained(run / "tokenizer")
    denoiser = averaged_denoiser(run, tokenizer)
    return StableDiffusionPipeline(
        vae=scaled_codec(run),
        text_encoder=denoiser.text,
        tokenizer=tokenizer,
        unet=denoiser.unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(run: Path, folder: Path) -> None:
    """Write the pipeline in float16 to a scratch folder, then put it in the place of ``folder``."""
    scratch, former = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)
    pipeline(run).to(dtype=torch.float16).save_pretrained(scratch, safe_serialization=True)
    _drop_paths(scratch)
    write_graphs(scratch)
    if folder.exists():
        folder.replace(former)
    scratch.replace(folder)
    shutil.rmtree(former, ignore_errors=True)


def _drop_paths(folder: Path) -> None:
    """Forget where the parts were loaded from: that is this machine's business."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
