"""Parts that families of transformers share, tiny and with random weights: VAEs, text encoders, their tokenizers."""

from __future__ import annotations

from typing import Any

from tiny_models import library

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def flow_scheduler(shift: float = 3.0, **more: Any) -> Any:
    """Flow matching's."""
    return library("diffusers").FlowMatchEulerDiscreteScheduler(shift=shift, **more)


def dynamic_scheduler() -> Any:
    """As FLUX has it: noise levels shifted by an image's size."""
    return flow_scheduler(use_dynamic_shifting=True)


def image_vae(kind: str, channels: int, **more: Any) -> Any:
    """A tiny VAE of eight pixels a latent."""
    return getattr(library("diffusers"), kind)(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=64,
        **more,
    )


def kl_vae(channels: int, scaling: float = 0.3611, shift: float = 0.1159) -> Any:
    """One whose latents are shifted, and go to the decoder as they are."""
    plain = {"use_quant_conv": False, "use_post_quant_conv": False}
    return image_vae("AutoencoderKL", channels, scaling_factor=scaling, shift_factor=shift, **plain)


def frames_vae() -> Any:
    """A tiny VAE for videos, whose first frame an image is."""
    spread = {"latents_mean": [0.1, -0.1, 0.2, 0.0], "latents_std": [1.5, 2.0, 1.0, 0.8]}
    return library("diffusers").AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True], **spread
    )


def qwen_tokenizer() -> Any:
    """Qwen's tokenizer with a token for each byte, and its marks of a chat."""
    from visioncraft_local_sd.loading.clip_tokenizer import _byte_letters

    vocabulary = {letter: number for number, letter in enumerate(_byte_letters())}
    words = library("transformers").Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=512)
    words.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    words.chat_template = CHAT
    return words


def qwen3(words: Any, layers: int = 3, kind: str = "Qwen3Model") -> Any:
    """A tiny Qwen3."""
    transformers = library("transformers")
    config = transformers.Qwen3Config(
        **QWEN, vocab_size=len(words), num_hidden_layers=layers, max_position_embeddings=512
    )
    return getattr(transformers, kind)(config)


def qwen_vl(words: Any, name: str, kind: str, layers: int, **vision: Any) -> Any:
    """A tiny Qwen that sees.

    Args:
        name: `Qwen3VL`.
        kind: What its class's name ends with: `Model`.
        layers: Of the part that reads.
        vision: Further settings of the part that sees.
    """
    transformers = library("transformers")
    text = {
        **QWEN,
        "vocab_size": len(words),
        "num_hidden_layers": layers,
        "max_position_embeddings": 1200,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
    }
    sees = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16, **vision}
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=sees)
    return getattr(transformers, f"{name}{kind}")(config)


def t5_tokenizer() -> Any:
    """T5's tokenizer with a piece for each letter."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = [(piece, -float(number)) for number, piece in enumerate(pieces)]
    return library("transformers").T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)


def t5(words: Any, width: int = 16) -> Any:
    """A tiny T5 encoder."""
    transformers = library("transformers")
    config = transformers.T5Config(
        vocab_size=len(words), d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return transformers.T5EncoderModel(config)
