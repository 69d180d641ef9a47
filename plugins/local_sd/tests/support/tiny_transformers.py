"""Folders of tiny transformers with flow matching and random weights, in the layouts that diffusers writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import clip, library, tokenizer
from tiny_parts import (
    dynamic_scheduler,
    flow_scheduler,
    frames_vae,
    image_vae,
    kl_vae,
    qwen3,
    qwen_tokenizer,
    qwen_vl,
    t5,
    t5_tokenizer,
)

SMALL = {"in_channels": 16, "num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}


def save_z_image(folder: Path, shift: float = 3.0) -> Path:
    """A tiny Z-Image; Turbo's scheduler has a shift of 3, the base model's one of 6."""
    transformer = _transformer(
        "ZImageTransformer2DModel",
        3,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    words = qwen_tokenizer()
    parts = {"vae": kl_vae(16), "text_encoder": qwen3(words), "tokenizer": words}
    return _saved(folder, "ZImagePipeline", _randomised(transformer), scheduler=flow_scheduler(shift), **parts)


def save_flux1(folder: Path) -> Path:
    """A tiny FLUX.1 dev, which is told the guidance scale."""
    transformer = _transformer(
        "FluxTransformer2DModel",
        4,
        **SMALL,
        num_single_layers=1,
        joint_attention_dim=16,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )
    words, words_2 = tokenizer(), t5_tokenizer()
    parts = {"text_encoder": clip(32, words), "text_encoder_2": t5(words_2), "tokenizer": words, "tokenizer_2": words_2}
    return _saved(folder, "FluxPipeline", transformer, vae=kl_vae(4), **parts)


def save_klein(folder: Path, distilled: bool = True) -> Path:
    """A tiny FLUX.2 klein, distilled or base."""
    transformer = _transformer(
        "Flux2Transformer2DModel",
        5,
        **SMALL,
        num_single_layers=1,
        joint_attention_dim=48,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    words = qwen_tokenizer()
    parts = {"text_encoder": qwen3(words, layers=28, kind="Qwen3ForCausalLM"), "tokenizer": words}
    vae = image_vae("AutoencoderKLFlux2", 4)
    return _saved(folder, "Flux2KleinPipeline", transformer, vae=vae, is_distilled=distilled, **parts)


def save_sd3(folder: Path) -> Path:
    """A tiny Stable Diffusion 3 with its three text encoders."""
    transformer = _transformer(
        "SD3Transformer2DModel",
        6,
        sample_size=16,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=32,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    words, words_3 = tokenizer(), t5_tokenizer()
    parts = {f"text_encoder{part}": clip(32, words, projection=True) for part in ("", "_2")}
    parts |= {"text_encoder_3": t5(words_3, width=64), "scheduler": flow_scheduler(), "vae": kl_vae(16, 1.5305, 0.0609)}
    parts |= {"tokenizer": words, "tokenizer_2": words, "tokenizer_3": words_3}
    return _saved(folder, "StableDiffusion3Pipeline", transformer, **parts)


def save_chroma(folder: Path) -> Path:
    """A tiny Chroma1."""
    transformer = _transformer(
        "ChromaTransformer2DModel",
        7,
        **SMALL,
        num_single_layers=1,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    words = t5_tokenizer()
    return _saved(folder, "ChromaPipeline", transformer, vae=kl_vae(4), text_encoder=t5(words), tokenizer=words)


def save_qwen_image(folder: Path) -> Path:
    """A tiny Qwen-Image."""
    transformer = _transformer(
        "QwenImageTransformer2DModel", 8, **SMALL, out_channels=4, joint_attention_dim=16, axes_dims_rope=(4, 6, 6)
    )
    words = qwen_tokenizer()
    reads = qwen_vl(words, "Qwen2_5_VL", "ForConditionalGeneration", layers=2)
    return _saved(folder, "QwenImagePipeline", transformer, vae=frames_vae(), text_encoder=reads, tokenizer=words)


def save_krea2(folder: Path) -> Path:
    """A tiny Krea 2."""
    transformer = _transformer(
        "Krea2Transformer2DModel",
        9,
        **SMALL,
        num_key_value_heads=1,
        timestep_embed_dim=16,
        intermediate_size=16,
        text_hidden_dim=16,
        text_num_attention_heads=2,
        text_num_key_value_heads=1,
        text_intermediate_size=16,
        num_text_layers=2,
        axes_dims_rope=(4, 6, 6),
    )
    words = qwen_tokenizer()
    reads = qwen_vl(words, "Qwen3VL", "Model", 3, deepstack_visual_indexes=[0], num_position_embeddings=16)
    parts = {"vae": frames_vae(), "text_encoder": reads, "tokenizer": words, "text_encoder_select_layers": [1, 3]}
    return _saved(folder, "Krea2Pipeline", transformer, **parts)


def _transformer(kind: str, seed: int, **sizes: Any) -> Any:
    """The network; what is made of a model after it has its seed too."""
    library("torch").manual_seed(seed)
    return getattr(library("diffusers"), kind)(**sizes)


def _randomised(network: Any) -> Any:
    """With numbers where a fresh network has zeros, as its tokens for padding."""
    for parameter in network.parameters():
        if parameter.abs().sum() == 0:
            library("torch").nn.init.normal_(parameter, std=0.2)
    return network


def _saved(folder: Path, pipeline: str, transformer: Any, **parts: Any) -> Path:
    """A pipeline as diffusers writes it; its noise levels shift by an image's size unless `parts` has a scheduler."""
    whole = {"scheduler": dynamic_scheduler(), "transformer": transformer, **parts}
    getattr(library("diffusers"), pipeline)(**whole).save_pretrained(folder, safe_serialization=True)
    return folder
