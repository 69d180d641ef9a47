"""What is asked of a generator, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from visioncraft.types.editing import Control, Hires, InputImage, LoRA
from visioncraft.types.models import ModelInfo
from visioncraft.types.parameters import JSON

WARNINGS = "warnings"
"""The fact of a picture that lists what was told of its making: `GeneratedImage.warnings`."""


FACT_DIALECT = "dialect"
"""The fact of a picture that says in which plugin's dialect it was asked for; absent for the API's own."""


FACT_OWNER = "owner"
"""The fact of a picture that says whose it is, where its key says so; absent where everybody's are everybody's."""


def steps_taken(steps: int, strength: float) -> int:
    """Counts the steps that an image is drawn over in: `strength` of those asked for, and one at least.

    Args:
        steps: Denoising steps asked for.
        strength: How much of the noise comes back, past 0 to 1.

    Returns:
        How many are taken, the last ones; those before them are left out.

    .. versionadded:: 1.1
    """
    return max(1, int(steps * strength))


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One picture to draw, already validated against its model's limits.

    Args:
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
        strength: How much of the noise comes back over `init_image`; 1 leaves nothing of it. 0 draws nothing: the image
            is enlarged by `upscaler` (since plugin API 1.1).
        mask: Where `init_image` is drawn anew: white is, black stays. Of the request's size, grey.
        loras: Which LoRAs, and how much of each.
        controlnet: A ControlNet and its condition.
        clip_skip: Which layer of the text encoder speaks, counted from the last, which is 1, as AUTOMATIC1111 counts.
        hires: A second, larger pass; the answer is larger than `width` and `height` then.
        upscaler: What enlarges the finished picture; None leaves it.
        upscale: By how much, with `upscaler`.
        leonardo_model, aspect_ratio, preset_style, quality: For Leonardo.ai; other generators ignore them.
        dialect: In which plugin's dialect it was asked for, as `openai`; empty for the API's own. The picture keeps
            it as the fact `dialect` (since plugin API 1.1).
        owner: Whose the picture is; empty where nobody is told apart (since plugin API 1.1).
        extra: Values of the parameters that the model declares, by their names (since plugin API 1.1).
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
    dialect: str = ""
    owner: str = ""
    job_id: str = ""
    extra: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def only_enlarges(self) -> bool:
        """Whether `init_image` is enlarged and nothing is drawn; it is of its own size then, whatever the model's is.

        .. versionadded:: 1.1
        """
        return self.init_image is not None and self.strength == 0

    @property
    def enlarged_size(self) -> tuple[int, int]:
        """Width and height of the finished image: those of the last pass, enlarged where there is an `upscaler`.

        .. versionadded:: 1.1
        """
        size = (self.width, self.height) if self.only_enlarges else self.hires_size
        width, height = (round(side * self.upscale) for side in size) if self.upscaler is not None else size
        return width, height

    @property
    def hires_size(self) -> tuple[int, int]:
        """Width and height that the second pass draws at; the first one's without a second."""
        scale, multiple = self.hires.scale if self.hires else 1.0, self.model.limits.size_multiple
        width, height = (round(side * scale / multiple) * multiple for side in (self.width, self.height))
        return width, height

    @property
    def steps_drawn(self) -> int:
        """Denoising steps of all passes: a picture that is drawn over is drawn for `strength` of the steps.

        Enlarging alone counts as one.
        """
        steps = self.num_inference_steps
        if self.only_enlarges:
            return 1
        drawn = steps_taken(steps, self.strength) if self.init_image is not None else steps
        second = steps_taken(self.hires.steps or steps, self.hires.strength) if self.hires is not None else 0
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
        return {name: getattr(self, name) for name in names} | self._editing() | dict(self.extra)

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

    Args:
        png: The picture, encoded once (`visioncraft.encode_png`). The file, the answer and the download are these bytes
            with the request's facts spliced in.
        width, height: Pixels of the picture as drawn.
        seed: The seed that drew it.
        vram_used: Peak device memory during the work, in GB (2**30 bytes); 0 where there is no such device.
        facts: Further facts worth keeping with the picture (sampler, dtype, upstream id), JSON-serialisable.
        warnings: What of the request is not in the picture, or not as asked, a sentence each (since plugin API 1.1).
            The answer, the job, the command line and the picture's facts tell them.
    """

    png: bytes
    width: int
    height: int
    seed: int
    vram_used: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
