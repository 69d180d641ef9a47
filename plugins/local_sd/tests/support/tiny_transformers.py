"""Folders of tiny transformers with flow matching and random weights, in the layouts that diffusers writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import clip, library, tokenizer

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


def qwen3(words: Any, layers: int = 3, kind: str = "Qwen3Model") -> Any:
    """A tiny Qwen3."""
    transformers = library("transformers")
    config = transformers.Qwen3Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=512,
    )
    return getattr(transformers, kind)(config)


def save_flux1(folder: Path, guided: bool = True) -> Path:
    """A tiny FLUX.1: dev, which is told the guidance scale, or schnell."""
    import torch

    torch.manual_seed(4)
    diffusers, words, words_2 = library("diffusers"), tokenizer(), t5_tokenizer()
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=32,
        guidance_embeds=guided,
        axes_dims_rope=(4, 6, 6),
    )
    diffusers.FluxPipeline(
        scheduler=_dynamic_scheduler(),
        vae=kl_vae(4, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=clip(32, words),
        tokenizer=words,
        text_encoder_2=t5(words_2),
        tokenizer_2=words_2,
        transformer=transformer,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_klein(folder: Path, distilled: bool = True) -> Path:
    """A tiny FLUX.2 klein, distilled or base."""
    import torch

    torch.manual_seed(5)
    diffusers, words = library("diffusers"), qwen_tokenizer()
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )
    diffusers.Flux2KleinPipeline(
        scheduler=_dynamic_scheduler(),
        vae=vae,
        text_encoder=qwen3(words, layers=28, kind="Qwen3ForCausalLM"),
        tokenizer=words,
        transformer=transformer,
        is_distilled=distilled,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_sd3(folder: Path) -> Path:
    """A tiny Stable Diffusion 3 with its three text encoders."""
    import torch

    torch.manual_seed(6)
    diffusers, words, words_3 = library("diffusers"), tokenizer(), t5_tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
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
    encoders = {f"text_encoder{part}": clip(32, words, projection=True) for part in ("", "_2")}
    diffusers.StableDiffusion3Pipeline(
        scheduler=library("diffusers").FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_vae(16, scaling_factor=1.5305, shift_factor=0.0609),
        tokenizer=words,
        tokenizer_2=words,
        text_encoder_3=t5(words_3, width=64),
        tokenizer_3=words_3,
        transformer=transformer,
        **encoders,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_chroma(folder: Path) -> Path:
    """A tiny Chroma1."""
    import torch

    torch.manual_seed(7)
    diffusers, words = library("diffusers"), t5_tokenizer()
    transformer = diffusers.ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    diffusers.ChromaPipeline(
        scheduler=_dynamic_scheduler(),
        vae=kl_vae(4, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=t5(words),
        tokenizer=words,
        transformer=transformer,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def _dynamic_scheduler() -> Any:
    """As FLUX has it: noise levels shifted by an image's size."""
    return library("diffusers").FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


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


def save_qwen_image(folder: Path) -> Path:
    """A tiny Qwen-Image."""
    import torch

    torch.manual_seed(8)
    diffusers, transformers, words = library("diffusers"), library("transformers"), qwen_tokenizer()
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1200,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    transformer = diffusers.QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    diffusers.QwenImagePipeline(
        scheduler=_dynamic_scheduler(),
        vae=_frames_vae(),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=words,
        transformer=transformer,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_krea2(folder: Path) -> Path:
    """A tiny Krea 2."""
    import torch

    torch.manual_seed(9)
    diffusers, transformers, words = library("diffusers"), library("transformers"), qwen_tokenizer()
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 1200,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    deep = {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config={**vision, **deep})
    transformer = diffusers.Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
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
    diffusers.Krea2Pipeline(
        scheduler=_dynamic_scheduler(),
        vae=_frames_vae(),
        text_encoder=transformers.Qwen3VLModel(config),
        tokenizer=words,
        transformer=transformer,
        text_encoder_select_layers=[1, 3],
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def _frames_vae() -> Any:
    """A tiny VAE for videos, whose first frame an image is."""
    spread = {"latents_mean": [0.1, -0.1, 0.2, 0.0], "latents_std": [1.5, 2.0, 1.0, 0.8]}
    return library("diffusers").AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True], **spread
    )
