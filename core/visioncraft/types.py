"""The nouns of the house: plain, frozen data that crosses every border.

Light on purpose: this module imports neither numpy, pydantic nor torch, so a plugin that only lists a model stays
free to import.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from visioncraft.editing import Control, Hires, InputImage, LoRA
from visioncraft.models import ModelInfo

Sort = Literal["newest", "oldest", "rating"]
"""Orders of a gallery: by the time of making, or the best rated first and among these the newest."""

WARNINGS = "warnings"
"""The fact of a picture that lists what was told of its making: `GeneratedImage.warnings`."""

ORIGINAL_SEED = "original_seed"
"""The fact of a picture from elsewhere that says which seed drew it, where none here can be that."""

LEFT_OUT = "left_out"
"""The fact of a picture from elsewhere that lists what made it, by its program's names, and is not asked for again."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One picture to draw, already validated against its model's limits.

    Parameters
    ----------
    prompt: What to draw.
    model: The model that draws it.
    negative_prompt: What to keep out of the picture.
    num_inference_steps: Denoising steps.
    guidance_scale: How closely to follow the prompt; 1 switches guidance off.
    width, height: Pixels.
    seed: The seed to use, never -1: a random one is drawn before the request reaches a generator.
    num_images: How many pictures the job draws, with seeds that follow each other. A generator is asked for each by
        itself, and always sees 1.
    sampler: The sampler by its common name (`euler_a`, `dpm++_2m_karras`); None leaves it to the model.
    init_image: The picture to start from, of the request's size; None starts from noise.
    strength: How much of the noise comes back over `init_image`, past 0 to 1; 1 leaves nothing of it.
    mask: Where `init_image` is drawn anew: white is, black stays. Of the request's size, grey.
    loras: Which LoRAs, and how much of each.
    controlnet: A ControlNet and its condition.
    clip_skip: Which layer of the text encoder speaks, counted from the last, which is 1, as AUTOMATIC1111 counts.
    hires: A second, larger pass; the answer is larger than `width` and `height` then.
    upscaler: What enlarges the finished picture; None leaves it.
    upscale: By how much, with `upscaler`.
    leonardo_model, aspect_ratio, preset_style, quality: For Leonardo.ai; other generators ignore them.
    job_id: The job that asks. A job that runs again after a crash has the same id, so a generator that pays for its
        work can tell that it has begun it already.
    """

    prompt: str
    model: ModelInfo
    negative_prompt: str = ""
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    width: int = 512
    height: int = 512
    seed: int = 0
    num_images: int = 1
    sampler: str | None = None
    init_image: InputImage | None = None
    strength: float = 0.8
    mask: InputImage | None = None
    loras: tuple[LoRA, ...] = ()
    controlnet: Control | None = None
    clip_skip: int = 1
    hires: Hires | None = None
    upscaler: str | None = None
    upscale: float = 2.0
    leonardo_model: str = "phoenix-1-0"
    aspect_ratio: str = "1:1"
    preset_style: str = "CREATIVE"
    quality: str = "standard"
    job_id: str = ""

    @property
    def hires_size(self) -> tuple[int, int]:
        """Width and height that the second pass draws at; the first one's without a second."""
        scale, multiple = self.hires.scale if self.hires else 1.0, self.model.limits.size_multiple
        width, height = (round(side * scale / multiple) * multiple for side in (self.width, self.height))
        return width, height

    @property
    def steps_drawn(self) -> int:
        """Denoising steps of all passes: a picture that is drawn over is drawn for `strength` of the steps."""
        steps = self.num_inference_steps
        drawn = max(1, int(steps * self.strength)) if self.init_image is not None else steps
        second = max(1, int((self.hires.steps or steps) * self.hires.strength)) if self.hires is not None else 0
        return drawn + second

    def parameters(self) -> dict[str, Any]:
        """The parameters used, as `/generate` answers them; a picture among them is its hash."""
        names = ["prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height"]
        if self.sampler is not None:
            names.append("sampler")
        if self.num_images > 1:
            names.append("num_images")
        if self.model.kind == "cloud":
            names += ["leonardo_model", "aspect_ratio", "preset_style", "quality"]
        return {name: getattr(self, name) for name in names} | self._editing()

    def without_pictures(self) -> GenerationRequest:
        """The same, but of its pictures only what identifies them: nobody draws it any more."""
        control = self.controlnet
        return replace(
            self,
            init_image=self.init_image and replace(self.init_image, png=b""),
            mask=self.mask and replace(self.mask, png=b""),
            controlnet=control and replace(control, image=replace(control.image, png=b"")),
        )

    def _editing(self) -> dict[str, Any]:
        used: dict[str, Any] = {}
        if self.init_image is not None:
            used |= {"init_image": self.init_image.reference, "strength": self.strength}
        if self.mask is not None:
            used["mask"] = self.mask.reference
        if self.loras:
            used["loras"] = [asdict(lora) for lora in self.loras]
        if self.controlnet is not None:
            used["controlnet"] = asdict(self.controlnet) | {"image": self.controlnet.image.reference}
        if self.clip_skip != 1:
            used["clip_skip"] = self.clip_skip
        if self.hires is not None:
            used["hires"] = asdict(self.hires)
        if self.upscaler is not None:
            used |= {"upscaler": self.upscaler, "upscale": self.upscale}
        return used


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """What a generator answers.

    Parameters
    ----------
    png: The picture, encoded once (`visioncraft.encode_png`). The file, the answer and the download are these bytes
        with the request's facts spliced in.
    width, height: Pixels of the picture as drawn.
    seed: The seed that drew it.
    vram_used: Peak device memory during the work, in GB (2**30 bytes); 0 where there is no such device.
    facts: Further facts worth keeping with the picture (sampler, dtype, upstream id), JSON-serialisable.
    warnings: What of the request is not in the picture, or not as asked, a sentence each (since plugin API 1.1). The
        answer, the job, the command line and the picture's facts tell them.
    """

    png: bytes
    width: int
    height: int
    seed: int
    vram_used: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """What people say of a stored picture. Unlike everything else about it, this may change.

    Parameters
    ----------
    tags: In the spelling of `tag_key`, sorted, each once.
    favourite: Whether somebody starred it; retention spares it then.
    rating: 0 for none, else 1 to 5.
    notes: Free text.
    """

    tags: tuple[str, ...] = ()
    favourite: bool = False
    rating: int = 0
    notes: str = ""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A stored picture: everything but its pixels. The same facts, all but `marks`, stand inside the file.

    Parameters
    ----------
    id: `img_` and 26 lower-case letters and digits, sortable by time.
    filename: The file's own name, without a folder.
    prompt, negative_prompt, model, seed, width, height: As drawn.
    generation_time: Seconds.
    vram_used: GB.
    created_at: With a time zone, UTC.
    parameters: All parameters used, as `/generate` answered them.
    facts: Whatever else the generator said.
    marks: What people said of it since.
    """

    id: str
    filename: str
    prompt: str
    negative_prompt: str
    model: str
    seed: int
    width: int
    height: int
    generation_time: float
    vram_used: float
    created_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)

    @property
    def generator(self) -> str:
        """The generator, or the program elsewhere, that drew it; empty where nobody said."""
        return str(self.facts.get("generator", ""))

    @property
    def warnings(self) -> list[str]:
        """What was told of its making, a sentence each."""
        told = self.facts.get(WARNINGS)
        return [str(each) for each in told] if isinstance(told, list | tuple) else []

    @property
    def left_out(self) -> list[str]:
        """What a replay of a picture from elsewhere does without, a sentence each."""
        told = self.facts.get(LEFT_OUT)
        names = [str(each) for each in told] if isinstance(told, list | tuple) else []
        return [f"the picture was drawn with {name}, which this replay leaves out" for name in names]


@dataclass(frozen=True, slots=True)
class GalleryQuery:
    """Which pictures, and in which order. What is None or empty does not restrict.

    Parameters
    ----------
    text: Words that the prompt or the notes hold, all of them; `word*` for what begins so, `"two words"` side by side.
    model: The model that drew it, in any spelling of its id.
    generator: The generator that drew it.
    width, height: Pixels.
    seed: The seed that drew it.
    since, until: Made at or after the one and before the other; with a time zone.
    tags: All of these.
    favourite: Starred, or not.
    min_rating: Rated so or better.
    sort: The order.
    """

    text: str = ""
    model: str | None = None
    generator: str | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    favourite: bool | None = None
    min_rating: int = 0
    sort: Sort = "newest"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a gallery.

    Parameters
    ----------
    items: The records of this page.
    total: How many the whole query has.
    next_cursor: What to pass for the page after this one; None at the end.
    exact: Whether `total` is exact; a store may stop counting what a search finds, and then it is the least.
    """

    items: Sequence[ImageRecord]
    total: int
    next_cursor: str | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device that draws. Memory in GB (2**30 bytes), 0 for the CPU."""

    device: str = "cpu"
    device_name: str = "CPU"
    vram_total: float = 0.0
    vram_used: float = 0.0
    vram_free: float = 0.0
    cuda_version: str | None = None


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What a plugin says of itself in `/status`.

    Parameters
    ----------
    name: The backend's id.
    loaded_models: Ids of the models in memory, the most recently used one first.
    device: The device it draws on, where it has one.
    facts: Whatever else is worth showing, free of secrets.
    """

    name: str
    loaded_models: Sequence[str] = ()
    device: DeviceInfo | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def tag_key(tag: str) -> str:
    """The one spelling of a tag: lower case, single spaces, and an accent in one piece with its letter.

    File names of a Mac have accents as characters of their own, which look the same and are others to a search.
    """
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", tag).casefold().split()))
