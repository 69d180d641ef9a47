"""Loading a checkpoint into a diffusers pipeline, and drawing with it for several threads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from visioncraft import GenerationFailed, GenerationRequest, Hires, JobCancelled, Progress

from visioncraft_local_sd.checkpoints import INPAINTING_CHANNELS, Checkpoint
from visioncraft_local_sd.choices import Choices
from visioncraft_local_sd.editing.denoisers import Denoisers
from visioncraft_local_sd.editing.loras import LoRAs
from visioncraft_local_sd.editing.parts import Parts
from visioncraft_local_sd.editing.pictures import Refine, encoded, seen_by, start_of, tensor_of
from visioncraft_local_sd.editing.upscaling import Upscalers
from visioncraft_local_sd.editing.words import Words
from visioncraft_local_sd.engine.bounds import Bounds
from visioncraft_local_sd.engine.conditioning import TextEncoder
from visioncraft_local_sd.engine.decoding import Decoder
from visioncraft_local_sd.engine.denoiser import Ask, Denoiser
from visioncraft_local_sd.engine.engine import Engine, Work
from visioncraft_local_sd.engine.sampling import Sampling, Start
from visioncraft_local_sd.memory import TILE, Footprint, MemoryMode, free_gb, give_back
from visioncraft_local_sd.precision import settle_on_cpu
from visioncraft_local_sd.preview import PreviewChoice, Previewer
from visioncraft_local_sd.samplers import build_scheduler, name_of
from visioncraft_local_sd.tokenizer import clip_tokenizer

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""Precisions by their names in settings."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_OPEN_CLIP_PAD = "!"


class LoadedModel:
    """A pipeline in memory. Weights are shared by all runs; a run has its own sampler and state.

    Parameters
    ----------
    pipe: The diffusers pipeline.
    engine: Computes.
    device: `cuda` or `cpu`.
    mode: The memory mode in force.
    footprint: What it takes.
    preview: What settings want shown of a picture while it is drawn.
    choices: Where it is kept how many rows share a denoiser call.
    parts: Finds what else it can draw with.
    """

    def __init__(
        self,
        pipe: Any,
        engine: Engine,
        device: str,
        mode: MemoryMode,
        footprint: Footprint,
        preview: PreviewChoice,
        choices: Choices,
        parts: Parts,
    ) -> None:
        self.pipe, self.device, self.mode, self.footprint = pipe, device, mode, footprint
        self._engine = engine
        self._encoder = TextEncoder(pipe, pipe.unet.dtype, Words(pipe, parts.words))
        self._loras = LoRAs(pipe, partial(parts.find, "lora"))
        self._upscalers = Upscalers(partial(parts.find, "upscaler"), device)
        settle = torch.cuda.synchronize if device == "cuda" else None
        bounds = Bounds(choices, self.precision, self._room, settle)
        self._denoisers = Denoisers(pipe.unet, bounds, self._loras, partial(parts.find, "controlnet"))
        self._decoder = Decoder(pipe.vae)
        xl = isinstance(pipe, diffusers.StableDiffusionXLPipeline)
        self._previewer = Previewer(preview, self._decoder.image, xl)

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
        del self.pipe, self._encoder, self._loras, self._denoisers, self._decoder, self._previewer
        give_back(self.device)

    def draw(self, request: GenerationRequest, progress: Progress) -> tuple[np.ndarray, str]:
        """Draw one picture, sharing denoiser calls with whatever else is drawn with this model.

        Returns the pixels, uint8 of shape (height, width, 3), and the sampler's common name. Raises `JobCancelled`
        within a step of a cancel; the model stays usable.
        """
        return self._engine.run(self._drawing(request, progress))

    def _drawing(self, request: GenerationRequest, progress: Progress) -> Work[tuple[np.ndarray, str]]:
        progress.stage("encoding prompt")
        generator = torch.Generator("cpu").manual_seed(request.seed)
        with self._loras.held(request.loras):
            denoiser = self._denoisers.get(request)
            start = start_of(request, self.pipe.vae, self._inpaints, generator)
            sampling = self._begin(request, generator, start)
            refine = self._refined(request, denoiser, generator)
            latents = yield from self._denoise(sampling, denoiser, refine, progress, 0)
            if request.hires is not None:
                latents = yield from self._second_pass(request, request.hires, latents, generator, progress)
        progress.stage("decoding")
        pixels = self._decode(latents)
        if request.upscaler is not None:
            progress.stage("enlarging")
            width, height = (round(side * request.upscale) for side in request.hires_size)
            pixels = self._upscalers.enlarge(pixels, request.upscaler, width, height, "upscaler")
        self.pipe.maybe_free_model_hooks()
        return pixels, name_of(sampling.scheduler)

    @property
    def _inpaints(self) -> bool:
        return bool(self.pipe.unet.config.in_channels > self.pipe.unet.config.out_channels)

    def _room(self, height: int, width: int) -> int:
        return int(free_gb(self.device) / self.footprint.row_gb(height, width))

    def _begin(self, request: GenerationRequest, generator: torch.Generator, start: Start | None) -> Sampling:
        self._loras.activate(request.loras)  # the text encoder has LoRAs too
        scale = self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.out_channels, request.height // scale, request.width // scale)
        return Sampling(
            scheduler=build_scheduler(request.sampler, self.pipe.scheduler),
            steps=request.num_inference_steps,
            guidance=request.guidance_scale,
            branches=self._encoder.encode(request),
            noise=torch.randn(shape, generator=generator, dtype=torch.float32),
            generator=generator,
            device=self.device,
            start=start,
        )

    def _refined(self, request: GenerationRequest, denoiser: Denoiser, generator: torch.Generator) -> Refine:
        """What else the denoiser is told at every step."""
        refine = seen_by(request, self.pipe.vae, generator) if self._inpaints else _as_it_is
        if request.controlnet is None:
            return refine
        condition = denoiser.condition(request.controlnet, request.width, request.height)
        return lambda ask: replace(refine(ask), condition=condition)

    def _second_pass(
        self,
        request: GenerationRequest,
        hires: Hires,
        latents: torch.Tensor,
        generator: torch.Generator,
        progress: Progress,
    ) -> Work[torch.Tensor]:
        """Enlarge what was drawn and draw over it."""
        width, height = request.hires_size
        larger = replace(
            request, width=width, height=height, num_inference_steps=hires.steps or request.num_inference_steps
        )
        if hires.upscaler is None:
            scale = self.pipe.vae_scale_factor
            size = (height // scale, width // scale)
            enlarged = torch.nn.functional.interpolate(latents, size=size, mode="bilinear")
        else:
            progress.stage("enlarging")
            pixels = self._upscalers.enlarge(self._decode(latents), hires.upscaler, width, height, "hires.upscaler")
            enlarged = encoded(self.pipe.vae, tensor_of(pixels), generator)
        denoiser = self._denoisers.get(larger)
        sampling = self._begin(larger, generator, Start(enlarged, hires.strength))
        refine = self._refined(larger, denoiser, generator)
        return (yield from self._denoise(sampling, denoiser, refine, progress, request.num_inference_steps))

    def _denoise(
        self, sampling: Sampling, denoiser: Denoiser, refine: Refine, progress: Progress, before: int
    ) -> Work[torch.Tensor]:
        """Take every step, each in a call shared with others. `before` steps were taken by an earlier pass."""
        reported = 0
        while not sampling.ended:
            sampling.advance((yield refine(sampling.ask(denoiser))))
            if sampling.done > reported:
                reported = sampling.done
                preview = self._previewer.at(reported, sampling.steps, sampling.latents)
                progress.step(before + reported, before + sampling.steps, preview)
            elif progress.cancelled:
                raise JobCancelled()
        return sampling.latents

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        if not torch.isfinite(latents).all():
            raise GenerationFailed(
                f"The denoiser gave numbers beyond {_NAMES[self.pipe.unet.dtype]}; "
                "set plugins.config.local_sd.dtype to fp32"
            )
        return self._decoder.pixels(latents)


def _as_it_is(ask: Ask) -> Ask:
    return ask


def load_pipeline(
    checkpoint: Checkpoint,
    engine: Engine,
    device: str,
    dtype: str,
    mode: MemoryMode,
    footprint: Footprint,
    roomy: bool,
    choices: Choices,
    preview: PreviewChoice,
    parts: Parts,
) -> LoadedModel:
    """Load a checked checkpoint onto a device.

    Parameters
    ----------
    dtype: `fp16`, `bf16` or `fp32`; on a CPU also `auto`, which measures.
    roomy, choices: See `precision.settle_on_cpu`.
    preview: What settings want shown.
    parts: Finds what else it can draw with.
    """
    _be_quiet()
    # Read in a thread that ends, so that pictures go on meanwhile and no second pool of OpenMP's threads stays.
    with ThreadPoolExecutor(1, "load") as reader:
        pipe = reader.submit(_open, checkpoint, torch.float32 if device == "cpu" else DTYPES[dtype]).result()

    def settle() -> LoadedModel:
        if device == "cpu":
            settle_on_cpu(pipe, dtype, roomy, choices)
        elif dtype == "fp16" and checkpoint.family == "sdxl" and pipe.vae.config.get("force_upcast"):
            pipe.vae.to(torch.float32)
        _place(pipe, device, mode)
        return LoadedModel(pipe, engine, device, mode, footprint, preview, choices, parts)

    return engine.call(settle)


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
    if checkpoint.single_file:
        with TemporaryDirectory() as folder:
            common |= _tokenizers(checkpoint) | {"config": str(_config_of(checkpoint, Path(folder)))}
            pipe = pipeline_class.from_single_file(str(checkpoint.path), **common)
    else:
        common |= {"use_safetensors": True, "variant": checkpoint.variant}
        pipe = pipeline_class.from_pretrained(str(checkpoint.path), **common)
    pipe.set_progress_bar_config(disable=True)
    _correct_schedule(pipe, checkpoint)
    # Convolutions are faster so, and a row's numbers are the same however many rows there are.
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.vae.to(memory_format=torch.channels_last)
    return pipe


def _config_of(checkpoint: Checkpoint, folder: Path) -> Path:
    """A single file's configurations; for inpainting, a copy in `folder` whose denoiser reads as many channels."""
    if not checkpoint.inpaints:
        return checkpoint.config_folder
    copied = Path(shutil.copytree(checkpoint.config_folder, folder / "config"))
    config = checkpoint.config("unet") | {"in_channels": INPAINTING_CHANNELS}
    (copied / "unet" / "config.json").write_text(json.dumps(config), "utf-8")
    return copied


def _tokenizers(checkpoint: Checkpoint) -> dict[str, Any]:
    found = {"tokenizer": clip_tokenizer(_OPEN_CLIP_PAD) if checkpoint.family == "sd2" else clip_tokenizer()}
    if checkpoint.family == "sdxl":
        found["tokenizer_2"] = clip_tokenizer(_OPEN_CLIP_PAD)
    return found


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


def _be_quiet() -> None:
    """Neither library may write bars or prompts to the server's log."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
