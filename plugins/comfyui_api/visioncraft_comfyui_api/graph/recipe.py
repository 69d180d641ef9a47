"""The one request that a graph stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visioncraft import LANCZOS, LoRA
from visioncraft_diffusion.samplers import from_comfyui

from visioncraft_comfyui_api.graph.checking import Graph, Link
from visioncraft_comfyui_api.graph.errors import NodeRefused, failed
from visioncraft_comfyui_api.graph.spec import Given
from visioncraft_comfyui_api.graph.values import (
    Canvas,
    Conditioning,
    Drawing,
    Drawn,
    Encoded,
    Enlarged,
    Image,
    Loaded,
    Named,
    Region,
)

MAX_SEED = 2**63 - 1
"""ComfyUI's seeds go twice as far; the upper half is folded onto the lower one."""

_NOT_ONE = "this graph draws two images; send a graph for each (node {} draws the other one)"


@dataclass(slots=True)
class Recipe:
    """A graph as a request.

    Args:
        model: The model; None for one that only enlarges.
        prompt: What to draw.
        fields: Further fields of the request, without images and strength.
        steps: How many are to be taken.
        strength: How much of the noise comes back over an image to start from; None without one.
        image: The image to start from.
        mask: Where it is drawn anew.
        follows: What a ControlNet follows.
        origins: Which node and input say what, by the request's field.
        warnings: What of the graph is not in the image as asked.
        prefixes: The file names' beginnings, by the output node.
        nodes: The nodes in the order in which they would run.
        sampler: The node that progress is told of.
    """

    model: str | None
    prompt: str
    fields: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    strength: float | None = None
    image: Loaded | None = None
    mask: Region | None = None
    follows: Loaded | None = None
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    prefixes: dict[str, str] = field(default_factory=dict)
    nodes: Sequence[str] = ()
    sampler: str = ""

    def origin(self, field_name: str) -> tuple[str, str]:
        """The node and the input that a field of the request comes from; the sampler for one of its own."""
        return self.origins.get(field_name) or self.origins.get(field_name.partition(".")[0]) or (self.sampler, "")


def recipe_of(graph: Graph) -> Recipe:
    """Read a graph from its loaders to its outputs. Raises `GraphRefused` that names the node which cannot be drawn."""
    classes = {node.id: node.class_name for node in graph.nodes}
    try:
        return _recipe(graph, _evaluated(graph))
    except NodeRefused as error:
        raise failed([error.problem()], classes) from None


def _evaluated(graph: Graph) -> dict[str, tuple[Any, ...]]:
    """What each node gives."""
    given: dict[str, tuple[Any, ...]] = {}
    for node in graph.nodes:
        inputs = {
            name: given[value.node][value.slot] if isinstance(value, Link) else value
            for name, value in graph.inputs[node.id].items()
        }
        given[node.id] = node.known.build(Given(node.id, inputs))
    return given


def _recipe(graph: Graph, given: Mapping[str, tuple[Any, ...]]) -> Recipe:
    image: Image = given[graph.outputs[0]][0]
    for output in graph.outputs[1:]:
        if _pixels(given[output][0]) != _pixels(image):
            raise NodeRefused(output, "images", _NOT_ONE.format(graph.outputs[0]))
    recipe = _enlarging(image) if isinstance(image.source, Loaded) else _drawing(image.source)
    if image.enlarged is not None:
        _enlarge(recipe, image.enlarged)
    recipe.warnings += image.warnings
    recipe.warnings = list(dict.fromkeys(recipe.warnings))
    names: dict[str, Named] = {output: given[output][1] for output in graph.outputs}
    recipe.prefixes = {output: str(named.value) for output, named in names.items()}
    recipe.nodes = [node.id for node in graph.nodes]
    return recipe


def _pixels(image: Image) -> tuple[Any, ...]:
    enlarged = image.enlarged
    return image.source, (enlarged.size, enlarged.factor, enlarged.upscaler) if enlarged else None


def _enlarging(image: Image) -> Recipe:
    """An image that is loaded, enlarged and saved."""
    loaded, enlarged = image.source, image.enlarged
    assert isinstance(loaded, Loaded) and enlarged is not None  # noqa: S101 - for mypy: nothing else saves a loaded one
    recipe = Recipe(None, "", image=loaded, strength=0.0, sampler=enlarged.node)
    recipe.origins["init_image"] = (loaded.node, "image")
    if loaded.size is not None:
        recipe.fields |= dict(zip(("width", "height"), loaded.size, strict=True))
    return recipe


def _drawing(drawing: Drawing) -> Recipe:
    start = drawing.start
    if isinstance(start, Drawn):
        recipe = _drawing(start.drawing)
        _second_pass(recipe, start, drawing)
        return recipe
    recipe = Recipe(drawing.model.name, drawing.positive.text, sampler=drawing.node, steps=drawing.steps)
    recipe.origins |= {**drawing.origins, "model": drawing.model.origin, "prompt": (drawing.positive.node, "text")}
    recipe.fields["seed"] = drawing.seed % (MAX_SEED + 1)
    if drawing.seed > MAX_SEED:
        recipe.warnings.append(f"seed {drawing.seed} is drawn as {recipe.fields['seed']}: seeds here end at {MAX_SEED}")
    recipe.fields["sampler"] = from_comfyui(drawing.sampler, drawing.scheduler)
    _guide(recipe, drawing)
    _fill_from(recipe, drawing, start)
    _read_words(recipe, drawing)
    return recipe


def _fill_from(recipe: Recipe, drawing: Drawing, start: Canvas | Encoded) -> None:
    """The size, and the image to start from."""
    if start.count > 1:
        recipe.fields["num_images"] = start.count
        recipe.origins["num_images"] = (start.node, "batch_size")
    if isinstance(start, Canvas):
        if drawing.strength < 1:
            node, name = recipe.origin("strength")
            raise NodeRefused(node, name, "with less than all of the noise, a drawing begins with an image: VAEEncode")
        size, recipe.origins["width"] = (start.width, start.height), (start.node, "width")
        recipe.origins["height"] = (start.node, "height")
        recipe.fields |= dict(zip(("width", "height"), size, strict=True))
        return
    recipe.image, recipe.mask, recipe.strength = start.image, start.mask, drawing.strength
    recipe.warnings += start.warnings
    recipe.origins["init_image"] = (start.image.node, "image")
    if start.mask is not None:
        recipe.origins["mask"] = (start.mask.node, "image")
    if start.image.size is not None:
        recipe.fields |= dict(zip(("width", "height"), start.image.size, strict=True))


def _guide(recipe: Recipe, drawing: Drawing) -> None:
    """The guidance: Flux' own where a node sets it, else the sampler's."""
    own = drawing.positive.guidance
    if own is not None:
        recipe.fields["guidance_scale"] = own[1]
        recipe.origins["guidance_scale"] = (own[0], "guidance")
        if drawing.cfg not in (None, 1.0):
            left_out = f"the cfg {drawing.cfg:g} of node {drawing.node} is left out"
            recipe.warnings.append(f"the guidance is {own[1]:g}, of node {own[0]}; {left_out}")
    elif drawing.cfg is not None:
        recipe.fields["guidance_scale"] = drawing.cfg


def _read_words(recipe: Recipe, drawing: Drawing) -> None:
    """What goes with the prompt: the negative one, LoRAs, the encoder's layer, a ControlNet."""
    positive, negative = drawing.positive, drawing.negative
    clip, model = positive.clip, drawing.model
    for words in filter(None, (positive, negative)):
        if words.clip.model not in ("", model.name):
            raise NodeRefused(
                words.node, "clip", f"the text encoder is of {words.clip.model}, the sampler's model {model.name}"
            )
    if negative is not None and negative.text:
        recipe.fields["negative_prompt"] = negative.text
        recipe.origins["negative_prompt"] = (negative.node, "text")
    if clip.skip is not None and clip.skip > 1:
        recipe.fields["clip_skip"] = clip.skip
        recipe.origins["clip_skip"] = (positive.node, "clip")
    if model.loras:
        recipe.fields["loras"] = [_lora(each) for each in model.loras]
        recipe.origins["loras"] = model.origin
    recipe.warnings += [*model.warnings, *clip.warnings]
    _follow(recipe, positive, negative)


def _lora(each: LoRA) -> dict[str, Any]:
    return {"name": each.name, "weight": each.weight}


def _follow(recipe: Recipe, positive: Conditioning, negative: Conditioning | None) -> None:
    control = positive.control
    if control is None:
        if negative is not None and negative.control is not None:
            raise NodeRefused(negative.control.node, "", "a ControlNet has to be applied to the positive prompt")
        return
    if not isinstance(control.image, Loaded):
        raise NodeRefused(
            control.node, "image", "a ControlNet follows an image from LoadImage, not one that is drawn here"
        )
    recipe.fields["controlnet"] = {"name": control.name, "scale": control.scale}
    recipe.follows = control.image
    recipe.origins["controlnet"] = (control.node, "control_net")
    recipe.origins["controlnet.image"] = (control.image.node, "image")
    recipe.origins["controlnet.scale"] = (control.node, "strength")


def _second_pass(recipe: Recipe, first: Drawn, second: Drawing) -> None:
    """A second sampler over what a first one has drawn and something has enlarged."""
    if "hires" in recipe.fields or recipe.image is not None:
        raise NodeRefused(second.node, "latent_image", "two passes at most, and the first one from text")
    if second.model != first.drawing.model or second.positive.text != first.drawing.positive.text:
        raise NodeRefused(second.node, "model", "both passes draw with one model and one prompt")
    enlarged = first.enlarged
    scale = _factor(recipe, enlarged) if enlarged is not None else 1.0
    hires: dict[str, Any] = {"scale": scale, "strength": second.strength, "steps": second.steps}
    if enlarged is not None and enlarged.upscaler is not None:
        hires["upscaler"] = enlarged.upscaler
    recipe.fields["hires"] = hires
    recipe.origins["hires"] = recipe.origins["hires.strength"] = (second.node, "denoise")
    if enlarged is not None:
        recipe.origins["hires.scale"] = (enlarged.node, "scale_by" if enlarged.size is None else "width")
    first_seed = first.drawing.seed
    if second.seed != first_seed:
        recipe.warnings.append(
            f"both passes draw with the seed {first_seed}, and not the second one with {second.seed}"
        )


def _enlarge(recipe: Recipe, enlarged: Enlarged) -> None:
    """What enlarges the finished image."""
    recipe.fields["upscaler"] = enlarged.upscaler or LANCZOS
    recipe.fields["upscale"] = _factor(recipe, enlarged)
    recipe.origins["upscale"] = recipe.origins["upscaler"] = (enlarged.node, "")


def _factor(recipe: Recipe, enlarged: Enlarged) -> float:
    """By how much it enlarges. Raises `NodeRefused` for less than once, and where both sides do not grow alike."""
    if enlarged.size is None:
        factor = enlarged.factor
    elif "width" not in recipe.fields:
        why = "how large the image is that it enlarges has to be in the graph; scale it by a factor"
        raise NodeRefused(enlarged.node, "width", why)
    else:
        grown = recipe.fields["hires"]["scale"] if "hires" in recipe.fields else 1.0
        ratios = [
            side / (recipe.fields[name] * grown) for name, side in zip(("width", "height"), enlarged.size, strict=True)
        ]
        if abs(ratios[0] - ratios[1]) > 0.01:
            raise NodeRefused(enlarged.node, "width", "width and height have to grow by the same factor")
        factor = ratios[0]
    if not 1 <= factor <= 8:
        raise NodeRefused(
            enlarged.node, "scale_by" if enlarged.size is None else "width", f"1 to 8 times, not {factor:g}"
        )
    return factor
