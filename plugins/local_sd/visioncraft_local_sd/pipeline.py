"""Loading a checkpoint into a diffusers pipeline, and drawing with it from several threads."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import InitVar, dataclass, field
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from visioncraft import GenerationFailed, GenerationRequest, JobCancelled, Progress

from visioncraft_local_sd.checkpoints import Checkpoint
from visioncraft_local_sd.choices import Choices
from visioncraft_local_sd.memory import TILE, Footprint, MemoryMode, give_back
from visioncraft_local_sd.precision import settle_on_cpu
from visioncraft_local_sd.preview import PreviewChoice, Previewer
from visioncraft_local_sd.samplers import build_scheduler, name_of
from visioncraft_local_sd.tokenizer import clip_tokenizer

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""Precisions by their names in settings."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_EMBEDDINGS = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_OPEN_CLIP_PAD = "!"


@dataclass
class LoadedModel:
    """A pipeline in memory. Weights are shared by all runs; a run has its own sampler and call state.

    Parameters
    ----------
    pipe: The diffusers pipeline.
    device: `cuda` or `cpu`.
    mode: The memory mode in force.
    footprint: What it takes.
    preview: What settings want shown of a picture while it is drawn.
    """

    pipe: Any
    device: str
    mode: MemoryMode
    footprint: Footprint
    preview: InitVar[PreviewChoice]
    _encoding: threading.Lock = field(default_factory=threading.Lock)
    _decoding: threading.Lock = field(default_factory=threading.Lock)
    _moving: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self, preview: PreviewChoice) -> None:
        xl = isinstance(self.pipe, diffusers.StableDiffusionXLPipeline)
        self._previewer = Previewer(preview, self._decoded_for_preview, xl)

    @property
    def resident_gb(self) -> float:
        """Device memory of its weights, in GB."""
        return self.footprint.resident_gb(self.mode)

    @property
    def precision(self) -> str:
        """The denoiser's precision, and the VAE's where that differs: `bf16`, `fp16 (vae fp32)`."""
        unet, vae = _NAMES[self.pipe.unet.dtype], _NAMES[self.pipe.vae.dtype]
        return unet if unet == vae else f"{unet} (vae {vae})"

    def use_slices(self) -> None:
        """Let the VAE decode in tiles from now on: less memory, pictures that differ by a shade at tile borders."""
        if self.mode == "full":
            _slice_vae(self.pipe)
            self.mode = "slicing"

    def close(self) -> None:
        """Give the memory back."""
        self.pipe.remove_all_hooks()
        self.pipe = None
        give_back(self.device)

    def draw(self, request: GenerationRequest, progress: Progress) -> tuple[np.ndarray, str]:
        """Draw one picture.

        Returns the pixels, uint8 of shape (height, width, 3), and the sampler's common name. Raises `JobCancelled`
        within a step of a cancel; the pipeline stays usable.
        """
        run = copy.copy(self.pipe)
        run.scheduler = build_scheduler(request.sampler, self.pipe.scheduler)
        # Offloading moves weights to and fro during a call: two calls would pull them from under each other.
        exclusive = self._moving if self.mode in ("offload", "sequential") else nullcontext()
        with exclusive, torch.no_grad():
            try:
                latents = self._denoise(run, request, progress)
                progress.stage("decoding")
                return self._decode(latents), name_of(run.scheduler)
            finally:
                run.maybe_free_model_hooks()

    def _denoise(self, run: Any, request: GenerationRequest, progress: Progress) -> torch.Tensor:
        progress.stage("encoding prompt")
        embeddings = self._encode(run, request)
        # Noise is drawn in fp32 on the CPU, so that a seed means the same picture on every device and precision.
        generator = torch.Generator("cpu").manual_seed(request.seed)
        scale = run.vae_scale_factor
        shape = (1, run.unet.config.in_channels, request.height // scale, request.width // scale)
        noise = torch.randn(shape, generator=generator, dtype=torch.float32)
        result = run(
            **embeddings,
            width=request.width,
            height=request.height,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            generator=generator,
            latents=noise.to(run.text_encoder.dtype),
            output_type="latent",
            callback_on_step_end=_reporter(request.num_inference_steps, progress, self._previewer),
        )
        latents: torch.Tensor = result.images
        return latents

    def _encode(self, run: Any, request: GenerationRequest) -> dict[str, torch.Tensor | None]:
        with self._encoding:  # a fast tokenizer is not safe to call from two threads
            encoded = run.encode_prompt(
                prompt=_well_formed(request.prompt),
                device=run._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=request.guidance_scale > 1,
                # None and not "": XL then uses zeros, as it was trained with
                negative_prompt=_well_formed(request.negative_prompt) or None,
            )
        return dict(zip(_EMBEDDINGS, encoded, strict=False))

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        if not torch.isfinite(latents).all():
            raise GenerationFailed(
                f"The denoiser gave numbers beyond {_NAMES[self.pipe.unet.dtype]}; "
                "set plugins.config.local_sd.dtype to fp32"
            )
        with self._decoding:
            image = self._decoded(latents)
            if not torch.isfinite(image).all() and self.pipe.vae.dtype != torch.float32:
                self.pipe.vae.to(torch.float32)  # some VAEs overflow fp16; diffusers upcasts them too
                image = self._decoded(latents)
        if not torch.isfinite(image).all():
            raise GenerationFailed("The VAE gave no picture but NaN; the checkpoint's VAE is damaged, use another one")
        pixels = (image[0].float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().cpu().numpy()

    def _decoded_for_preview(self, latents: torch.Tensor) -> torch.Tensor:
        with self._decoding:
            return self._decoded(latents)

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipe.vae
        scaled = latents.float() / vae.config.scaling_factor
        mean, std = vae.config.get("latents_mean"), vae.config.get("latents_std")
        if mean is not None and std is not None:
            spread = torch.tensor(std, device=scaled.device).view(1, -1, 1, 1)
            scaled = scaled * spread + torch.tensor(mean, device=scaled.device).view(1, -1, 1, 1)
        image: torch.Tensor = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        return image


def load_pipeline(
    checkpoint: Checkpoint,
    device: str,
    dtype: str,
    mode: MemoryMode,
    footprint: Footprint,
    roomy: bool,
    choices: Choices,
    preview: PreviewChoice,
) -> LoadedModel:
    """Load a checked checkpoint onto a device.

    Parameters
    ----------
    dtype: `fp16`, `bf16` or `fp32`; on a CPU also `auto`, which measures.
    roomy, choices: See `precision.settle_on_cpu`.
    preview: What settings want shown.
    """
    _be_quiet()
    pipe = _open(checkpoint, torch.float32 if device == "cpu" else DTYPES[dtype])
    pipe.set_progress_bar_config(disable=True)
    _correct_schedule(pipe, checkpoint)
    if device == "cpu":
        settle_on_cpu(pipe, dtype, roomy, choices)
    elif dtype == "fp16" and checkpoint.family == "sdxl" and pipe.vae.config.get("force_upcast"):
        pipe.vae.to(torch.float32)
    _place(pipe, device, mode)
    return LoadedModel(pipe, device, mode, footprint, preview)


def engine_name() -> str:
    """The engine and its version, as kept with a picture."""
    return f"diffusers {diffusers.__version__}"


def _open(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    xl = checkpoint.family == "sdxl"
    pipeline_class: Any = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
    common: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "feature_extractor": None}
    common["image_encoder"] = None
    if checkpoint.family != "sdxl":
        common |= {"safety_checker": None, "requires_safety_checker": False}
    if not checkpoint.single_file:
        return pipeline_class.from_pretrained(
            str(checkpoint.path), use_safetensors=True, variant=checkpoint.variant, **common
        )
    tokenizers = {"tokenizer": clip_tokenizer(_OPEN_CLIP_PAD) if checkpoint.family == "sd2" else clip_tokenizer()}
    if checkpoint.family == "sdxl":
        tokenizers["tokenizer_2"] = clip_tokenizer(_OPEN_CLIP_PAD)
    return pipeline_class.from_single_file(
        str(checkpoint.path), config=str(checkpoint.config_folder), **tokenizers, **common
    )


def _correct_schedule(pipe: Any, checkpoint: Checkpoint) -> None:
    """What a checkpoint says, or settings say, against the configuration it came with."""
    changes: dict[str, Any] = {}
    if checkpoint.prediction_type:
        changes["prediction_type"] = checkpoint.prediction_type
    if checkpoint.zero_terminal_snr:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if changes:
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)


def _place(pipe: Any, device: str, mode: MemoryMode) -> None:
    if mode != "full":
        _slice_vae(pipe)
    if mode == "sequential":
        pipe.enable_attention_slicing()
        pipe.enable_sequential_cpu_offload(device=device)
    elif mode == "offload":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)


def _slice_vae(pipe: Any) -> None:
    vae = pipe.vae
    vae.enable_slicing()
    vae.enable_tiling()
    # The default tile is the size the VAE was trained at, which for XL is a whole picture.
    vae.tile_sample_min_size = TILE
    vae.tile_latent_min_size = TILE // 2 ** (len(vae.config.block_out_channels) - 1)


def _reporter(steps: int, progress: Progress, previewer: Previewer) -> Any:
    """A callback that says how many of the request's steps are done.

    Second-order samplers call it about twice a step, PNDM once more than asked, so calls are scaled to steps.
    """
    reported = 0

    def report(run: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal reported
        done = (index + 1) * steps // run.num_timesteps
        if done > reported:
            reported = done
            progress.step(done, steps, previewer.at(done, steps, tensors["latents"]))
        elif progress.cancelled:
            raise JobCancelled()
        return tensors

    return report


def _well_formed(text: str) -> str:
    """Lone surrogates cannot be encoded, and tokenizers raise on them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _be_quiet() -> None:
    """Neither library may write bars or prompts to the server's log."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
