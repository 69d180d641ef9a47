"""Where a drawing begins that does not begin in noise alone: a client's picture, and a mask of what is drawn anew.

Random numbers are drawn in the order of diffusers' pipelines (the encoder's sample, then the noise), so that a seed
draws the picture that torch draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from visioncraft import (
    LANCZOS,
    GeneratedImage,
    GenerationRequest,
    InvalidRequest,
    Progress,
    decode_png,
    encode_png,
    enlarged,
    is_lanczos,
    steps_taken,
)

from visioncraft_local_onnx.arrays import Floats
from visioncraft_local_onnx.folder import OnnxFolder
from visioncraft_local_onnx.noise import Noise
from visioncraft_local_onnx.sampling.base import Sampler

Map = Callable[[Floats], Floats]

_ELSEWHERE = ("loras", "controlnet", "hires", "upscaler")


@dataclass(frozen=True)
class Start:
    """A picture to begin from.

    Args:
        latents: Of shape (1, channels, h, w), as the denoiser knows them.
        mask: 1 where they are drawn anew, 0 where they stay, of shape (1, 1, h, w); None to draw over everything.
        first: The first of the denoiser's calls that is made; those before it are left out.
        noise_only: Whether it begins in noise alone all the same, and only what the mask leaves is put back.
    """

    latents: Floats
    mask: Floats | None
    first: int
    noise_only: bool

    def begun(self, sampler: Sampler, noise: Floats) -> Floats:
        """The latents before the first call."""
        if self.noise_only:
            return noise * sampler.start_scale
        return sampler.noised(self.latents, noise, self.first)

    def put_back(self, latents: Floats, sampler: Sampler, noise: Floats, call: int) -> Floats:
        """What the mask leaves becomes the picture again, with the noise of the call to come."""
        if self.mask is None:
            return latents
        ended = call + 1 == len(sampler.timesteps)
        kept = self.latents if ended else sampler.noised(self.latents, noise, call + 1)
        return (1 - self.mask) * kept + self.mask * latents


def start_of(request: GenerationRequest, encode: Map, scale: Map, noise: Noise) -> Start | None:
    """Where a request's drawing begins; None for noise alone.

    Args:
        encode: Pictures of shape (1, 3, height, width) in -1 to 1 to what the VAE's encoder answers.
        scale: From the VAE's latents to the denoiser's.
    """
    if request.init_image is None:
        return None
    pixels = decode_png(request.init_image.png).astype(np.float32) / np.float32(255)
    latents = scale(_sampled(encode(2 * np.moveaxis(pixels, -1, 0)[None] - 1), noise))
    mask = None if request.mask is None else _shrunk(decode_png(request.mask.png)[..., 0] >= 128, latents.shape[-2:])
    steps = request.num_inference_steps
    first = steps - steps_taken(steps, request.strength)
    return Start(latents, mask, first, noise_only=mask is not None and request.strength == 1)


def check_abilities(request: GenerationRequest, folder: OnnxFolder) -> None:
    """Refuse what only an engine with torch can, or what the model lacks. Raises `InvalidRequest` for the field."""
    if request.init_image is not None and "vae_encoder" not in folder.graphs:
        issue = f"{folder.path.name} was exported without its vae_encoder; export it again"
        raise InvalidRequest.of("init_image", issue)
    asked = [name for name in _ELSEWHERE if getattr(request, name)]
    if request.clip_skip != 1:
        asked.append("clip_skip")
    if asked:
        issue = "ONNX Runtime cannot use it; take local_onnx out of generation.backends, or leave the field out"
        raise InvalidRequest.of(asked[0], issue)


def enlarge_alone(request: GenerationRequest, progress: Progress) -> GeneratedImage:
    """Enlarges an image that somebody sent, without any graph.

    Args:
        request: Holds the image, the upscaler's name and the factor.
        progress: Hears of it.

    Raises:
        InvalidRequest: The upscaler is a network, which takes torch.
    """
    assert request.init_image is not None  # noqa: S101 - for mypy: such requests have one
    if request.upscaler is not None and not is_lanczos(request.upscaler):
        issue = f"ONNX Runtime runs no such network; '{LANCZOS}' needs nothing, and plugin local_sd has the others"
        raise InvalidRequest.of("upscaler", issue)
    progress.stage("enlarging")
    width, height = request.enlarged_size
    pixels = enlarged(decode_png(request.init_image.png), width, height)
    progress.step(1, 1)
    return GeneratedImage(encode_png(pixels), width, height, request.seed)


def _sampled(answer: Floats, noise: Noise) -> Floats:
    """A sample of the distribution whose mean and logarithm of variance the encoder answered, channel by channel."""
    mean, log_variance = np.split(answer, 2, axis=1)
    return mean + np.exp(0.5 * np.clip(log_variance, -30, 20)) * noise.normal(mean.shape)


def _shrunk(mask: Floats, size: tuple[int, int]) -> Floats:
    """The nearest pixel for each latent."""
    rows, columns = (np.arange(small) * large // small for small, large in zip(size, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)].astype(np.float32)[None, None]
