"""Folders of tiny transformers with flow matching and random weights, in the layouts that diffusers writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import library

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_z_image(folder: Path, shift: float = 3.0) -> Path:
    """A tiny Z-Image; Turbo's scheduler has a shift of 3, the base model's one of 6."""
    import torch

    torch.manual_seed(3)
    diffusers, words = library("diffusers"), qwen_tokenizer()
    pipe = diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=shift),
        vae=kl_vae(16, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=qwen3(words),
        tokenizer=words,
        transformer=randomised(
            diffusers.ZImageTransformer2DModel(
                dim=32,
                n_layers=2,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=16,
                axes_dims=[8, 4, 4],
                axes_lens=[256, 32, 32],
            )
        ),
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def randomised(network: Any) -> Any:
    """With numbers where a fresh network has zeros, as its tokens for padding."""
    import torch

    for parameter in network.parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def kl_vae(channels: int, **more: Any) -> Any:
    """A tiny VAE of eight pixels a latent."""
    return library("diffusers").AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=64,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **more,
    )


def qwen_tokenizer() -> Any:
    """Qwen's tokenizer with a token for each byte, and its marks of a chat."""
    from visioncraft_local_sd.loading.clip_tokenizer import _byte_letters

    vocabulary = {letter: number for number, letter in enumerate(_byte_letters())}
    words = library("transformers").Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=512)
    words.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    words.chat_template = CHAT
    return words


def qwen3(words: Any) -> Any:
    """A tiny Qwen3 of three layers, the last but one of which is what is read."""
    transformers = library("transformers")
    config = transformers.Qwen3Config(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip
    return transformers.Qwen3Model(config)
