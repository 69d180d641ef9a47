"""Folders of tiny models with random weights, in the layouts that diffusers writes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

SMALL_WORDS = Path(__file__).parents[3] / "mini" / "visioncraft_mini" / "weights" / "tokenizer"
END = "<|endoftext|>"


def library(name: str) -> Any:
    """diffusers or transformers, untyped: their constructors have no annotations."""
    return importlib.import_module(name)


def tokenizer(pad: str = END, *, whole: bool = False) -> Any:
    """CLIP's tokenizer. With the embedded model's 3,095 words it is read in a tenth of the time of the whole one.

    Single files carry none and are read with the whole one, so only models that become such files need it.
    """
    from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer

    return (
        clip_tokenizer(pad)
        if whole
        else library("transformers").CLIPTokenizer.from_pretrained(str(SMALL_WORDS), pad_token=pad)
    )


def save_sd1(folder: Path, *, whole_tokenizer: bool = False) -> Path:
    """A tiny Stable Diffusion 1.x."""
    import torch

    torch.manual_seed(1)
    words = tokenizer(whole=whole_tokenizer)
    pipe = library("diffusers").StableDiffusionPipeline(
        vae=_vae(0.18215),
        text_encoder=clip(32, words),
        tokenizer=words,
        unet=_unet(32),
        scheduler=_scheduler("PNDMScheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def save_sdxl(folder: Path, *, whole_tokenizer: bool = False, **unet: Any) -> Path:
    """A tiny Stable Diffusion XL with both text encoders; its denoiser can be made otherwise."""
    import torch

    torch.manual_seed(2)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "use_linear_projection": True}
    words, words_2 = (tokenizer(pad, whole=whole_tokenizer) for pad in (END, "!"))
    pipe = library("diffusers").StableDiffusionXLPipeline(
        vae=_vae(0.13025),
        text_encoder=clip(32, words),
        text_encoder_2=clip(64, words_2, projection=True),
        tokenizer=words,
        tokenizer_2=words_2,
        unet=_unet(96, projection_class_embeddings_input_dim=64 + 6 * 8, **added, **unet),
        scheduler=_scheduler("EulerDiscreteScheduler"),
        add_watermarker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def _unet(context: int, **more: Any) -> Any:
    blocks = {
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    return library("diffusers").UNet2DConditionModel(
        sample_size=64, layers_per_block=1, cross_attention_dim=context, attention_head_dim=8, **(blocks | more)
    )


def _vae(scaling: float) -> Any:
    return library("diffusers").AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        scaling_factor=scaling,
        sample_size=128,
    )


def clip(width: int, words: Any, projection: bool = False) -> Any:
    """A tiny CLIP text encoder."""
    transformers = library("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
    )
    return (transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel)(config)


def _scheduler(name: str) -> Any:
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    return getattr(library("diffusers"), name)(**config, **more)
