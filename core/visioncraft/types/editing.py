"""What an editor asks for beside a prompt: pictures to start from, LoRAs, a ControlNet, a second pass.

Light as `types` is, for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Fit = Literal["stretch", "crop", "pad"]
"""How an image comes to the request's size where it has other proportions."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that a client sent, made ready at the door: upright, in RGB, of the size it is used at.

    Args:
        sha256: Of the bytes as the client sent them, in hexadecimal digits: what is kept of it for good.
        width, height: Pixels.
        png: The picture; `visioncraft.decode_png` reads it. Empty once the job has ended.
    """

    sha256: str
    width: int
    height: int
    png: bytes = b""

    @property
    def reference(self) -> str:
        """What stands for the picture in answers and in files: `sha256:…`."""
        return f"sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class FittedImage:
    """An image to start from or to follow, with the way in which it comes to the request's size.

    An image that is sent alone is stretched. A `Mask` may hold one too.

    Args:
        image: The file's bytes, base64, a `data:` URL, or the id of an image in the gallery.
        fit: `stretch` changes its proportions, `crop` cuts off on two sides what is too much, and `pad` shows all of it
            between strips that go on with its edges' colours.

    .. versionadded:: 1.1
    """

    image: bytes | str
    fit: Fit = "stretch"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says of itself that somebody sent.

    Args:
        width: Pixels, upright.
        height: Pixels, upright.
        texts: What stands beside the pixels, by its keyword: chunks of a PNG, the comment of a JPEG or WebP, which is
            `parameters`.

    .. versionadded:: 1.1
    """

    width: int
    height: int
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReading:
    """How a mask is read.

    Args:
        channel: `grey`, or `alpha`: what is transparent is drawn anew. An image without transparency counts as grey.
        invert: Black is drawn anew, or what is opaque, in place of the other.
        grow: By how many pixels of the request's size the part that is drawn anew is made wider on all sides.
        blur: Radius in pixels by which its edge is softened, after growing.

    .. versionadded:: 1.1
    """

    channel: Literal["grey", "alpha"] = "grey"
    invert: bool = False
    grow: int = 0
    blur: float = 0.0


@dataclass(frozen=True, slots=True)
class Mask(MaskReading):
    """A mask as a client of another program means it: `service.submit(..., mask=Mask(image, channel="alpha"))`.

    A mask that is sent as an image alone is read as grey: white is drawn anew, black stays.

    Args:
        image: The file's bytes, base64, a `data:` URL, or the id of an image in the gallery; with a `FittedImage` it
            comes to its size as that says.

    .. versionadded:: 1.1
    """

    image: bytes | str | FittedImage

    @property
    def reading(self) -> MaskReading:
        """How it is read, without the image."""
        return MaskReading(channel=self.channel, invert=self.invert, grow=self.grow, blur=self.blur)


@dataclass(frozen=True, slots=True)
class LoRA:
    """A LoRA to draw with.

    Args:
        name: As the models' folder has it.
        weight: How much of it; 0 is none, negative ones turn it around.
    """

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet and what it follows.

    Args:
        name: As the models' folder has it.
        image: The condition, as the ControlNet was trained on it: edges, depth, a pose. Of the picture's own size.
        scale: How closely it is followed; 0 is not at all.
    """

    name: str
    image: InputImage
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass: the picture is enlarged and drawn over.

    Args:
        scale: By how much width and height grow.
        strength: How much of the noise comes back, past 0 to 1; the smaller, the closer to the first pass.
        steps: Steps of the schedule it enters, as in img2img; None for the first pass's.
        upscaler: What enlarges the picture between the passes; None enlarges its latents.
    """

    scale: float = 2.0
    strength: float = 0.7
    steps: int | None = None
    upscaler: str | None = None
