"""What flows along a graph's links, as far as it matters to a request: no tensors, but what they would be made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from visioncraft import LoRA


@dataclass(frozen=True, slots=True)
class Model:
    """MODEL: a model with its LoRAs.

    Args:
        name: As the loader names it.
        origin: The loader's node and input, for errors.
        loras: Applied so far.
        warnings: What of its nodes is not in the image as asked.
    """

    name: str
    origin: tuple[str, str]
    loras: tuple[LoRA, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """CLIP: a model's text encoder.

    Args:
        model: The name of the model that it came with; empty for one that a loader of its own names.
        skip: The layer that speaks, counted from the last, which is 1.
        warnings: As a model's.
    """

    model: str = ""
    skip: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vae:
    """VAE: a model's autoencoder.

    Args:
        warnings: As a model's.
    """

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """IMAGE: one that the client sent, or one of the gallery.

    Args:
        name: As `LoadImage` names it.
        node: The node that loads it.
        size: Width and height that it is brought to; None for its own.
        cropped: Whether what does not fit is cut off, in place of stretching.
    """

    name: str
    node: str
    size: tuple[int, int] | None = None
    cropped: bool = False


@dataclass(frozen=True, slots=True)
class Region:
    """MASK: which part is drawn anew.

    Args:
        name: The image that it is read from.
        node: The node that loads it.
        channel: `alpha` where transparent is drawn anew, `grey` where white is.
        invert: The other way around.
        grow: Pixels by which it is made wider.
    """

    name: str
    node: str
    channel: Literal["alpha", "grey"]
    invert: bool = False
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """What a ControlNet is to follow, and how closely."""

    name: str
    image: Loaded
    scale: float
    node: str


@dataclass(frozen=True, slots=True)
class Conditioning:
    """CONDITIONING: words, and what goes with them.

    Args:
        text: The prompt.
        node: Where it is written.
        clip: The text encoder that reads it.
        guidance: Flux' own guidance, where a node sets it.
        control: A ControlNet.
    """

    text: str
    node: str
    clip: Clip
    guidance: tuple[str, float] | None = None
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Canvas:
    """LATENT: an empty one."""

    width: int
    height: int
    count: int
    node: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """LATENT: an image to start from.

    Args:
        image: The image.
        node: The node that encodes it.
        mask: Where it is drawn anew; None for everywhere.
        count: How many times.
        warnings: As a model's.
    """

    image: Loaded
    node: str
    mask: Region | None = None
    count: int = 1
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enlarged:
    """By how much something is enlarged, and by what.

    Args:
        node: The node that does.
        size: The new width and height; None where `factor` says.
        factor: How many times as large on each side.
        upscaler: What enlarges; None for latents as they are.
    """

    node: str
    size: tuple[int, int] | None = None
    factor: float = 1.0
    upscaler: str | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a sampler's node does.

    Args:
        node: The sampler.
        model: Draws.
        positive: What to draw.
        negative: What not to; None without guidance.
        start: What it begins with.
        seed: Of the noise.
        steps: How many are taken.
        cfg: The guidance; None leaves it to the model.
        sampler: ComfyUI's name of it.
        scheduler: ComfyUI's name of the noise schedule.
        strength: How much of the noise comes back.
        origins: Which node and input say what, by the request's field.
    """

    node: str
    model: Model
    positive: Conditioning
    negative: Conditioning | None
    start: Canvas | Encoded | Drawn
    seed: int
    steps: int
    cfg: float | None
    sampler: str
    scheduler: str
    strength: float
    origins: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Drawn:
    """LATENT: what a sampler has drawn, enlarged or not."""

    drawing: Drawing
    enlarged: Enlarged | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """IMAGE: what was drawn, or a loaded one that is enlarged and not drawn over.

    Args:
        source: What it is of.
        enlarged: By what it is enlarged afterwards.
        warnings: As a model's.
    """

    source: Drawing | Loaded
    enlarged: Enlarged | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sigmas:
    """SIGMAS: the steps of a schedule."""

    scheduler: str
    steps: int
    strength: float
    node: str


@dataclass(frozen=True, slots=True)
class Guider:
    """GUIDER: a model and what it is guided by."""

    model: Model
    positive: Conditioning
    negative: Conditioning | None
    cfg: float | None
    node: str


@dataclass(frozen=True, slots=True)
class Named:
    """NOISE, SAMPLER, CONTROL_NET, UPSCALE_MODEL: something that a node names.

    Args:
        value: A seed or a name.
        node: The node.
    """

    value: int | str
    node: str
