"""From what a client asked to a `GenerationRequest`: the model's own limits, and a seed where none was given."""

from __future__ import annotations

import math
import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from visioncraft.decoding import Decoders
from visioncraft.errors import InvalidRequest
from visioncraft.images import inputs
from visioncraft.images.pixels import Use
from visioncraft.jobs import enlarging
from visioncraft.jobs.tags import check_no_tags, loras_taken_out
from visioncraft.types.editing import Control, Hires, InputImage, LoRA
from visioncraft.types.gallery import FACT_ORIGINAL_SEED, ImageRecord
from visioncraft.types.generation import GenerationRequest
from visioncraft.types.models import Ability, Limits, ModelInfo, canonical_id
from visioncraft.types.parameters import JSON, RESERVED

MAX_PROMPT_CHARACTERS = 10_000
MAX_SEED = 2**63 - 1
_DRAWN_SEEDS = 2**31 - 10  # any client's number type and any tool's seed field hold them, Leonardo's Flux too
MAX_LORAS = 16
MAX_IMAGES = 16
_STRENGTH, _STRENGTH_OF_A_MASK = 0.8, 1.0  # diffusers' own defaults for img2img and inpainting
_NEEDS = {"strength": "init_image", "mask": "init_image", "upscale": "upscaler"}
_BOUNDS = {"num_images": (1, MAX_IMAGES), "clip_skip": (1, 12), "upscale": (1.0, 8.0)}
_NOT_ASKED = {"prompt", "model", "dialect", "owner", "job_id", "extra"}
_FIELDS = {field.name for field in fields(GenerationRequest)} - _NOT_ASKED
_USES: dict[str, Use] = {"init_image": "picture", "mask": "mask", "controlnet": "condition"}
_CATALOGUE = {"aspect_ratio": "aspect_ratios", "preset_style": "preset_styles", "quality": "quality_levels"}


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that is right but for its pictures, into which nobody has looked yet.

    Args:
        request: What is asked for.
        pictures: Files by what they are sent for: `init_image`, `mask`, `controlnet`.
        control: The ControlNet as it was asked for, without its picture.
        follows: The request's size is yet to be that of the picture to start from.
    """

    request: GenerationRequest
    pictures: Mapping[str, inputs.Sent]
    control: Mapping[str, Any] | None
    follows: Mapping[str, int] | None

    async def complete(self, decoders: Decoders) -> GenerationRequest:
        """The request with its pictures, decoded elsewhere. Raises as `Decoders.prepare`."""
        sized = self._sized(await decoders.look(self.pictures["init_image"])) if self.follows is not None else self
        width, height = sized.request.width, sized.request.height
        ready = {name: await decoders.prepare(sent, width, height, _USES[name]) for name, sent in self.pictures.items()}
        return sized._filled(ready)

    def complete_here(self) -> GenerationRequest:
        """The request with its pictures, decoded in this process. Raises `InvalidRequest`."""
        sized = self._sized(inputs.look(self.pictures["init_image"])) if self.follows is not None else self
        width, height = sized.request.width, sized.request.height
        return sized._filled(
            {name: inputs.prepare(sent, width, height, _USES[name]) for name, sent in self.pictures.items()}
        )

    def _sized(self, size: tuple[int, int]) -> Plan:
        """With the size of the picture to start from, as its model draws it; one to enlarge stays as large as it is."""
        request = self.request
        own = dict(zip(("width", "height"), size, strict=True))
        sides = {**(own if request.strength == 0 else _sized_like(size, request.model.limits)), **(self.follows or {})}
        if request.strength == 0:
            enlarging.check_size(**sides, upscale=request.upscale)
        return replace(self, request=replace(request, width=sides["width"], height=sides["height"]))

    def _filled(self, ready: Mapping[str, InputImage]) -> GenerationRequest:
        changes: dict[str, Any] = {name: ready[name] for name in ("init_image", "mask") if name in ready}
        if self.control is not None:
            changes["controlnet"] = Control(image=ready["controlnet"], **self.control)
        return replace(self.request, **changes) if changes else self.request


def build_request(
    model: ModelInfo, prompt: str, known: Callable[[], Sequence[ModelInfo]] = tuple, **asked: Any
) -> GenerationRequest:
    """As `plan_request`, with the pictures decoded at once and in this process: for trusted ones."""
    return plan_request(model, prompt, known, **asked).complete_here()


def plan_request(model: ModelInfo, prompt: str, known: Callable[[], Sequence[ModelInfo]] = tuple, **asked: Any) -> Plan:
    """Validate against the model's limits and draw the seed.

    Args:
        model: Draws the picture; its limits decide.
        prompt: What to draw.
        known: The models that can draw now, to name those that can what this one cannot.
        asked: Further fields of `GenerationRequest`; None means the model's default. Pictures are files' bytes or
            base64, a LoRA, a ControlNet and a second pass mappings. Any other name is a parameter that the model
            declares.

    Without `width` or `height` a picture to start from decides them. Raises `InvalidRequest` that names the field and
    what would be right. A picture to start from may stand for the words.
    """
    given = {name: value for name, value in asked.items() if value is not None and value != []}
    extra = _extra(model, {name: given.pop(name) for name in [*given] if name not in _FIELDS}, known)
    _check_text("prompt", prompt, may_be_empty="init_image" in given)
    _check_text("negative_prompt", given.get("negative_prompt", ""), may_be_empty=True)
    prompt = _without_tags(model, prompt, given, known)
    _check_abilities(model, given, known)
    enlarges = enlarging.is_asked_for(given)
    given["seed"] = _seed(given.get("seed", -1), given.get("num_images", 1))
    if "leonardo_model" in given:
        given["leonardo_model"] = canonical_id(given["leonardo_model"])
    if model.kind == "cloud":
        given |= _chosen(model, given)
    control = _control(given)
    pictures = _taken_pictures(given)
    sides: dict[str, int] = {side: given[side] for side in ("width", "height") if side in given}
    follows = sides if "init_image" in pictures and len(sides) < 2 else None
    if follows is not None:  # until somebody has looked at the picture, any size that is allowed
        given = dict(zip(("width", "height"), model.limits.min_resolution, strict=True)) | given
    given = model.defaults.fields() | given
    request = GenerationRequest(prompt=prompt, model=model, extra=extra, **_editing(given, "mask" in pictures))
    if not enlarges:
        _check_limits(request, model.limits, "init_image" in pictures)
    elif follows is None:
        enlarging.check_size(request.width, request.height, request.upscale)
    return Plan(request, pictures, control, follows)


def _extra(model: ModelInfo, given: Mapping[str, Any], known: Callable[[], Sequence[ModelInfo]]) -> dict[str, JSON]:
    """The model's own parameters, with its defaults for those that were not given. Raises `InvalidRequest`."""
    declared = {parameter.name: parameter for parameter in model.parameters}
    for name, value in given.items():
        if name not in declared:
            able = [other.id for other in known() if name in {each.name for each in other.parameters}]
            who = f"models that have it: {', '.join(able)}" if able else "no model here has it"
            raise InvalidRequest.of(name, f"{model.id} has no such parameter; {who}")
        if (issue := declared[name].issue_with(value)) is not None:
            raise InvalidRequest.of(name, f"{issue}, for {model.id}")
    defaults = {name: each.default for name, each in declared.items() if each.default is not None}
    return {**defaults, **given}


def _chosen(model: ModelInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """A cloud model's choices as its catalogue spells them; its size is that of the aspect ratio."""
    chosen: dict[str, Any] = {}
    for field, kind in _CATALOGUE.items():
        offered = {entry["id"]: entry for entry in (model.catalogue or {}).get(kind, ())}
        wanted = given.get(field, GenerationRequest.__dataclass_fields__[field].default)
        entry = next((each for name, each in offered.items() if name.lower() == wanted.strip().lower()), None)
        if offered and entry is None:
            raise InvalidRequest.of(field, f"one of: {', '.join(offered)}")
        if entry is not None:
            chosen[field] = entry["id"]
            if "resolution" in entry:
                chosen["width"], chosen["height"] = entry["resolution"]
    return chosen


def _without_tags(
    model: ModelInfo, prompt: str, given: dict[str, Any], known: Callable[[], Sequence[ModelInfo]]
) -> str:
    """The prompt's words, the LoRAs that its tags ask for being among those that are given."""
    check_no_tags("negative_prompt", given.get("negative_prompt", ""))
    words, tagged = loras_taken_out(prompt)
    if tagged and "loras" not in model.abilities:
        wanted = f"<lora:{tagged[0]['name'][:80]}> asks for a LoRA, which {model.id} cannot use"
        raise InvalidRequest.of("prompt", f"{wanted}; take the tag out; {_able('loras', known)}")
    if tagged:
        _check_text("prompt", words, may_be_empty="init_image" in given)
        given["loras"] = [*given.get("loras", ()), *tagged]
    return words


def _able(ability: str, known: Callable[[], Sequence[ModelInfo]]) -> str:
    able = [other.id for other in known() if ability in other.abilities]
    return f"models that can: {', '.join(able)}" if able else "no model here can"


def _check_abilities(model: ModelInfo, given: Mapping[str, Any], known: Callable[[], Sequence[ModelInfo]]) -> None:
    for field in get_args(Ability):
        if field in given and field not in model.abilities:
            raise InvalidRequest.of(field, f"{model.id} cannot use it; {_able(field, known)}")
    for field, needed in _NEEDS.items():
        if field in given and needed not in given:
            raise InvalidRequest.of(field, f"only together with {needed}")
    if "hires" in given and "init_image" in given:
        raise InvalidRequest.of("hires", "enlarges what is drawn from text alone; leave out init_image")


def _control(given: dict[str, Any]) -> dict[str, Any] | None:
    """The ControlNet that is asked for, but for its picture. Raises `InvalidRequest`."""
    if "controlnet" not in given:
        return None
    scale = given["controlnet"].get("scale")
    scale = 1.0 if scale is None else scale
    _check_range("controlnet.scale", scale, (0, 2))
    return {"name": given["controlnet"]["name"], "scale": scale}


def _taken_pictures(given: dict[str, Any]) -> dict[str, inputs.Sent]:
    """Take the pictures out of what was asked, not looked at yet: the rest may be refused."""
    sent = [name for name in ("init_image", "mask") if name in given]
    found: dict[str, inputs.Sent] = {name: inputs.read(name, given.pop(name)) for name in sent}
    if "controlnet" in given:
        found["controlnet"] = inputs.read("controlnet.image", given.pop("controlnet")["image"])
    return found


def _sized_like(size: tuple[int, int], limits: Limits) -> dict[str, int]:
    """The size nearest to a picture's own that the model draws: no larger than its largest, of the same proportions."""
    scale = min(1.0, *(most / side for side, most in zip(size, limits.max_resolution, strict=True)))
    sides = (round(side * scale / limits.size_multiple) * limits.size_multiple for side in size)
    width, height = (max(side, least) for side, least in zip(sides, limits.min_resolution, strict=True))
    return {"width": width, "height": height}


def _editing(given: Mapping[str, Any], masked: bool) -> dict[str, Any]:
    """What was asked, with mappings made into what they describe. Raises `InvalidRequest`."""
    made = {"strength": _STRENGTH_OF_A_MASK if masked else _STRENGTH, **given}
    for field, (low, high) in _BOUNDS.items():
        _check_range(field, made.get(field, high), (low, high))
    made["loras"] = tuple(LoRA(**entry) for entry in given.get("loras", ()))
    if len(made["loras"]) > MAX_LORAS:
        raise InvalidRequest.of("loras", f"at most {MAX_LORAS}")
    for number, lora in enumerate(made["loras"]):
        _check_range(f"loras.{number}.weight", lora.weight, (-10, 10))
    if "hires" in given:
        made["hires"] = Hires(**{name: value for name, value in given["hires"].items() if value is not None})
        _check_range("hires.scale", made["hires"].scale, (1, 4))
    return made


def request_fields(record: ImageRecord) -> dict[str, Any]:
    """What to ask for to have a picture drawn again: the fields of `POST /generate`, `model` among them.

    A sampler only where one was asked for: the model's own, by its name, need not be set up as the model has it.
    Raises `InvalidRequest` for a picture from elsewhere whose seed none here can be: another one would draw another.
    """
    if (seed := record.facts.get(FACT_ORIGINAL_SEED)) is not None:
        raise InvalidRequest.of("seed", f"this picture was drawn with {seed}, and no seed here is past {MAX_SEED}")
    given = {name: record.parameters[name] for name in ("prompt", *_FIELDS) if name in record.parameters}
    given |= {name: value for name, value in record.parameters.items() if name not in RESERVED}
    size = {"width": record.width, "height": record.height}
    return {**size, **given, "prompt": record.prompt, "negative_prompt": record.negative_prompt} | {
        "model": record.model,
        "seed": record.seed,
    }


def _check_text(field: str, text: str, may_be_empty: bool = False) -> None:
    if not text.strip() and not may_be_empty:
        raise InvalidRequest.of(field, f"{field.capitalize()} cannot be empty")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InvalidRequest.of(field, f"at most {MAX_PROMPT_CHARACTERS} characters, not {len(text)}")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise InvalidRequest.of(field, f"contains the control character U+{ord(character):04X}; remove it")


def _seed(seed: int, count: int) -> int:
    """The first of `count` seeds that follow each other."""
    if seed == -1:
        return secrets.randbelow(_DRAWN_SEEDS - MAX_IMAGES)
    if not 0 <= seed <= MAX_SEED - (count - 1):
        raise InvalidRequest.of("seed", f"-1 for a random seed, or 0 to {MAX_SEED - (count - 1)}")
    return seed


def _check_limits(request: GenerationRequest, limits: Limits, drawn_over: bool) -> None:
    name = request.model.id
    _check_range("num_inference_steps", request.num_inference_steps, limits.steps, name)
    _check_range("guidance_scale", request.guidance_scale, limits.guidance_scale, name)
    for axis, field in enumerate(("width", "height")):
        pixels = getattr(request, field)
        _check_range(field, pixels, (limits.min_resolution[axis], limits.max_resolution[axis]), name)
        if pixels % limits.size_multiple:
            nearest = round(pixels / limits.size_multiple) * limits.size_multiple
            raise InvalidRequest.of(field, f"a multiple of {limits.size_multiple} for {name}; nearest is {nearest}")
    if drawn_over:
        _check_passes("strength", request.num_inference_steps, request.strength)
    if request.hires is not None:
        for axis, side in enumerate(request.hires_size):
            _check_range("hires.scale", side, (limits.min_resolution[axis], limits.max_resolution[axis]), name)
        _check_passes("hires.strength", request.hires.steps or request.num_inference_steps, request.hires.strength)


def _check_passes(field: str, steps: int, strength: float) -> None:
    """A picture that is drawn over is drawn for `strength` of the steps; none would leave it as it is."""
    if not 0 < strength <= 1 or int(steps * strength) < 1:
        raise InvalidRequest.of(field, f"past 0 to 1, and with {steps} steps at least {1 / steps:.2g}")


def _check_range(field: str, value: float, bounds: tuple[float, float], model: str = "") -> None:
    low, high = bounds
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidRequest.of(field, f"{low:g} to {high:g}" + (f" for {model}" if model else ""))
