"""A model in memory: its graphs opened, and the way from a request to pixels."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from visioncraft import GenerationFailed, GenerationRequest, JobCancelled, Progress
from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_onnx.arrays import Floats
from visioncraft_local_onnx.conditioning import DTYPES, Conditioning, PromptEncoder
from visioncraft_local_onnx.editing import start_of
from visioncraft_local_onnx.folder import OnnxFolder
from visioncraft_local_onnx.noise import Noise
from visioncraft_local_onnx.preview import Previewer
from visioncraft_local_onnx.sampling.base import Sampler
from visioncraft_local_onnx.sampling.names import build_sampler, is_known, own_sampler
from visioncraft_local_onnx.sampling.schedule import read_schedule
from visioncraft_local_onnx.sessions import Runtime, Session

_SD_SCALING = 0.18215  # of SD 1.x and 2.x, whose old exports come without the VAE's configuration


class OnnxModel:
    """A model in memory, shared by all runs.

    Args:
        folder: Where it lies.
        runtime: How its graphs are opened.
        preview_every: Steps between two previews; 0 for none.

    Raises `ModelRefused` that names the part at fault.
    """

    def __init__(self, folder: OnnxFolder, runtime: Runtime, preview_every: int) -> None:
        self.folder = folder
        self._runtime, self._opening = runtime, Lock()
        self._sessions: dict[str, Session] = {
            part: runtime.open(graph) for part, graph in folder.graphs.items() if part != "vae_encoder"
        }
        self._unet, self._decoder = self._sessions["unet"], self._sessions["vae_decoder"]
        self._check_inputs()
        self._encoder = PromptEncoder(folder, self._sessions)
        try:
            self._schedule = read_schedule(folder.scheduler)
        except ValueError as error:
            raise ModelRefused(f"scheduler/scheduler_config.json: {error}; choose another scheduler") from error
        self._previewer = Previewer(preview_every, self._decoded)

    @property
    def resident_gb(self) -> float:
        """Memory of its weights, in GB."""
        return self.folder.weights_gb

    @property
    def provider(self) -> str:
        """The execution provider that runs the denoiser."""
        return self._unet.provider

    @property
    def precision(self) -> str:
        """What the denoiser computes in."""
        plain = "fp16" if self._unet.inputs["sample"] == "tensor(float16)" else "fp32"
        return self._unet.precision or self.folder.precision or plain

    def untold(self, request: GenerationRequest) -> tuple[str, ...]:
        """What of a request or of the model is not in a picture, a sentence each."""
        own, told = str(self.folder.scheduler.get("_class_name")), self._encoder.untold(request)
        if request.sampler is None and not is_known(self.folder.scheduler):
            told.append(f"{own_sampler(self.folder.scheduler)} drew it: the model's own sampler, {own}, is not here")
        return tuple(told)

    def close(self) -> None:
        """Give the memory back."""
        self._sessions = {}
        del self._unet, self._decoder, self._encoder, self._previewer

    def draw(self, request: GenerationRequest, progress: Progress) -> tuple[NDArray[np.uint8], str]:
        """Draw one picture.

        Returns the pixels, of shape (height, width, 3), and the sampler's common name. Raises `JobCancelled` within a
        step of a cancel.
        """
        progress.stage("encoding prompt")
        conditioning = self._encoder.encode(request)
        sampler = build_sampler(request.sampler, self._schedule, request.num_inference_steps)
        latents = self._denoise(request, conditioning, sampler, progress)
        if not np.isfinite(latents).all():
            raise GenerationFailed(f"The denoiser gave numbers beyond {self.precision}; export the model in fp32")
        progress.stage("decoding")
        return self._pixels(latents), request.sampler or own_sampler(self.folder.scheduler)

    def _denoise(
        self, request: GenerationRequest, conditioning: Conditioning, sampler: Sampler, progress: Progress
    ) -> Floats:
        random, shape = Noise(request.seed), self._shape(request)
        start = start_of(request, self._encoded, self._scaled, random)
        noise = random.normal(shape)
        latents, first = noise * sampler.start_scale, 0
        if start is not None:
            latents, first = start.begun(sampler, noise), start.first
        steps, calls, reported = request.num_inference_steps - first, len(sampler.timesteps) - first, 0
        for call in range(first, first + calls):
            output = self._predicted(sampler.scale_input(latents, call), sampler.timesteps[call], conditioning, request)
            latents = sampler.step(output, call, latents, lambda: random.normal(shape))
            if start is not None:
                latents = start.put_back(latents, sampler, noise, call)
            done = (call - first + 1) * steps // calls  # PNDM calls the denoiser once more than there are steps
            if done > reported:
                reported = done
                progress.step(done, steps, self._previewer.at(done, steps, latents))
            elif progress.cancelled:
                raise JobCancelled
        return latents

    def _predicted(
        self, latents: Floats, timestep: Any, conditioning: Conditioning, request: GenerationRequest
    ) -> Floats:
        """The denoiser's answer, guidance applied (https://arxiv.org/abs/2207.12598)."""
        shown = np.concatenate([latents, latents]) if conditioning.guided else latents
        types, at = self._unet.inputs, [] if "timestep" in self._unet.scalars else [1]
        inputs = {
            "sample": np.ascontiguousarray(shown, DTYPES[types["sample"]]),
            "timestep": np.full(at, timestep).astype(DTYPES[types["timestep"]]),
            **conditioning.inputs,
        }
        output = np.asarray(self._unet.run(self._unet.outputs[:1], inputs)[0], np.float32)
        if not conditioning.guided:
            return output
        avoided, wanted = output[:1], output[1:]
        return avoided + np.float32(request.guidance_scale) * (wanted - avoided)

    def _pixels(self, latents: Floats) -> NDArray[np.uint8]:
        picture = self._decoded(latents)[0]
        if not np.isfinite(picture).all():
            raise GenerationFailed("The VAE gave no picture but NaN; export the model's VAE in fp32")
        pixels = ((picture / 2 + 0.5).clip(0, 1) * 255).round().astype(np.uint8)
        return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))

    def _decoded(self, latents: Floats) -> Floats:
        """Pictures of shape (1, 3, height, width) in -1 to 1."""
        factor, mean, std = self._latent_scale()
        scaled = latents / factor * std + mean
        name, kind = next(iter(self._decoder.inputs.items()))
        (picture,) = self._decoder.run(self._decoder.outputs[:1], {name: scaled.astype(DTYPES[kind])})
        return np.asarray(picture, np.float32)

    def _encoded(self, pictures: Floats) -> Floats:
        """What the VAE's encoder answers; its graph is opened by the first picture that needs it."""
        with self._opening:
            if "vae_encoder" not in self._sessions:
                self._sessions["vae_encoder"] = self._runtime.open(self.folder.graphs["vae_encoder"])
        encoder = self._sessions["vae_encoder"]
        name, kind = next(iter(encoder.inputs.items()))
        (answer,) = encoder.run(encoder.outputs[:1], {name: np.ascontiguousarray(pictures, DTYPES[kind])})
        return np.asarray(answer, np.float32)

    def _scaled(self, latents: Floats) -> Floats:
        """Latents of the VAE as the denoiser knows them."""
        factor, mean, std = self._latent_scale()
        return (latents - mean) / std * factor

    def _latent_scale(self) -> tuple[Floats, Floats, Floats]:
        """Factor, mean and deviation that part the denoiser's latents from the VAE's."""
        config = self.folder.vae
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if mean is None or std is None:
            mean, std = 0.0, 1.0
        shape = (1, -1, 1, 1)
        mean, std = np.reshape(mean, shape).astype(np.float32), np.reshape(std, shape).astype(np.float32)
        return np.float32(config.get("scaling_factor", _SD_SCALING)), mean, std

    def _shape(self, request: GenerationRequest) -> tuple[int, int, int, int]:
        scale = self.folder.scale
        return 1, self.folder.latent_channels, request.height // scale, request.width // scale

    def _check_inputs(self) -> None:
        known = {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids", "timestep_cond"}
        strange = set(self._unet.inputs) - known
        if strange or not {"sample", "timestep"} <= set(self._unet.inputs):
            wanted = ", ".join(sorted(self._unet.inputs))
            raise ModelRefused(f"unet/model.onnx takes {wanted}; only Stable Diffusion's denoiser is known here")


def engine_name() -> str:
    """The engine and its version, as kept with a picture."""
    return f"onnxruntime {onnxruntime.__version__}"
