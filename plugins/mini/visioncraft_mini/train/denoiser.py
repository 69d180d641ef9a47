"""The drawing half: a text encoder and a UNet that predict the velocity of a noised latent."""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from visioncraft_mini.train.tokens import LENGTH

TEXT_WIDTH = 192


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Two layers, 192 wide: enough to read a caption of known words."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def new_unet(widths: tuple[int, ...] = (32, 96, 192, 192)) -> UNet2DConditionModel:
    """A thin level at full size, where a sample costs most; words enter at a quarter and an eighth of it."""
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    # On this CPU the backward pass of torch's fused attention is ten times slower than plain matrix products.
    unet.set_attn_processor(AttnProcessor())
    return unet


def new_scheduler() -> DDIMScheduler:
    """Velocity prediction on a schedule that ends in pure noise (Lin and others, 2023, arXiv:2305.08891)."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Denoiser(nn.Module):
    """Text encoder and UNet, trained as one; both compute in bfloat16 on weights that stay in float32."""

    signal: Tensor
    noise: Tensor

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text = new_text_encoder(tokenizer)
        self.unet = new_unet()
        kept = new_scheduler().alphas_cumprod
        self.register_buffer("signal", kept.sqrt(), persistent=False)
        self.register_buffer("noise", (1 - kept).sqrt(), persistent=False)

    def forward(self, clean: Tensor, tokens: Tensor, steps: Tensor) -> Tensor:
        """The squared error of the predicted velocity, for each sample [n].

        ``clean`` [n, 4, h, w] has deviation 1, ``tokens`` [n, 77], ``steps`` [n] in 0..999. Velocity
        v = a * noise - s * clean for x = a * clean + s * noise (Salimans and Ho, 2022, arXiv:2202.00512).
        """
        noise = torch.randn_like(clean)
        a, s = self.signal[steps].view(-1, 1, 1, 1), self.noise[steps].view(-1, 1, 1, 1)
        noised, wanted = a * clean + s * noise, a * noise - s * clean
        with torch.autocast(clean.device.type, torch.bfloat16):
            words = self.text(tokens).last_hidden_state
            velocity = self.unet(noised, steps, words, return_dict=False)[0]
        error: Tensor = (velocity.float() - wanted).square().mean((1, 2, 3))
        return error


def draw_steps(count: int, lean: float) -> Tensor:
    """Random time steps; a ``lean`` above 1 favours high noise, where outlines and colours are decided."""
    return (torch.rand(count).pow(1 / lean) * 1000).long().clamp(max=999)
