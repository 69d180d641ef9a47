"""What a family of models says of itself: how it is recognised, what may be loaded of it, what its models take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from visioncraft import Ability, Defaults, Limits

Config = Mapping[str, Any]
ReadConfig = Callable[[str], Config]
"""From a component's name to its configuration; raises where it has none."""


@dataclass(frozen=True, slots=True)
class Edition:
    """What tells a family's published models apart: each has its own defaults, limits and licence.

    Args:
        title: Its name, as people read it.
        memory: The GB that it takes, as people read them.
        limits: What a request may ask for.
        defaults: What it draws with where a request does not say.
        licence: Of the published weights, as `ModelInfo.licence`; empty where those who share such files choose it.
        distilled: Whether it was trained to need no guidance, and takes none.
        options: What diffusers' pipeline is told for it alone; see `Stock`.
    """

    title: str
    memory: str
    limits: Limits
    defaults: Defaults = field(default_factory=Defaults)
    licence: str = ""
    distilled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stock:
    """How diffusers' own pipelines draw a family that has no module in `drawing/`.

    Args:
        image: The class for image to image; empty where there is none.
        mask: The class for masks; empty where there is none.
        guidance: The argument that takes the guidance scale.
        off: Its value without guidance; None where the scale is an input of the network, and is told as it is.
        negative: Whether it takes a negative prompt.
        nothing: What stands for an empty negative prompt.
        latents: How latents lie: `grid`, `packed` (2x2 to a token), `frames` (packed, one frame of a video's VAE) or
            `patches` (as FLUX.2 normalises them).
    """

    image: str = ""
    mask: str = ""
    guidance: str = "guidance_scale"
    off: float | None = 1.0
    negative: bool = True
    nothing: str = ""
    latents: Literal["grid", "packed", "frames", "patches"] = "packed"


UNKNOWN = Edition("", "", Limits())
"""Of a model that nobody looked at."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Args:
        name: As files and errors name it: `sdxl`.
        pipelines: Classes of diffusers that a `model_index.json` of it may name; it is loaded as the first.
        components: What may be loaded of it: components, and the classes that each may have, library and all.
        recognise: Which edition a folder holds, from its checked `model_index.json` and its components'
            configurations; None where the folder is of another family. Raises `ModelRefused` for one that it cannot
            draw with, its text beginning behind the folder's name.
        left_out: What its pipeline's class is told in place of components that are never loaded.
        denoiser: The component that draws.
        abilities: What its models are able to beside drawing from text.
        samplers: What its models sample with, by common names; empty for all that there are.
        side: The side in pixels of the images that it was trained on: what memory has to suffice for.
        half: The precision it draws in on a GPU unless settings say otherwise; one that says `bf16` overflows fp16.
        vae_overflows: Whether its VAE may overflow fp16, as its configuration then says.
        width: From the denoiser's configuration to the channels of its first feature maps, or of its tokens.
        maps: How many numbers a denoiser call has in memory at once, for each pixel of the latents and each channel of
            the first feature maps.
        channels_last: Devices on which the denoiser is faster in that layout.
        clip_pads: For single files, which carry no tokenizer: what pads each of CLIP's.
        compiles: Whether the denoiser's calls are tensors alone, which can be compiled or recorded.
        taesd: The folder of the tiny decoder that shows its latents; empty where there is none.
        stock: How diffusers' own pipelines draw it; None for a family with a module in `drawing/`.
    """

    name: str
    pipelines: tuple[str, ...]
    components: Mapping[str, re.Pattern[str]]
    recognise: Callable[[Config, ReadConfig], Edition | None]
    left_out: Mapping[str, Any] = field(default_factory=dict)
    denoiser: str = "transformer"
    abilities: frozenset[Ability] = frozenset()
    samplers: tuple[str, ...] = ()
    side: int = 1024
    half: Literal["fp16", "bf16"] = "bf16"
    vae_overflows: bool = False
    width: Callable[[Config], int] = lambda config: int(config["dim"])
    maps: float = 32
    channels_last: frozenset[str] = frozenset()
    clip_pads: Mapping[str, str] = field(default_factory=dict)
    compiles: bool = False
    taesd: str = ""
    stock: Stock | None = None

    @property
    def pipeline(self) -> str:
        """The class of diffusers that it is loaded as."""
        return self.pipelines[0]

    @property
    def networks(self) -> tuple[str, ...]:
        """The components that have weights."""
        return tuple(name for name in self.components if name not in ("scheduler", *self.tokenizers))

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The components that take texts apart."""
        return tuple(name for name in self.components if name.startswith(("tokenizer", "processor")))
