"""Which request a graph stands for, and which graphs stand for none."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import Graph, flux, image_to_image, node, text_to_image
from visioncraft import ModelInfo, StoredModel
from visioncraft_comfyui_api.asking import spread
from visioncraft_comfyui_api.graph.checking import checked, nodes_of
from visioncraft_comfyui_api.graph.describing import described
from visioncraft_comfyui_api.graph.errors import GraphRefused
from visioncraft_comfyui_api.graph.images import native_factor
from visioncraft_comfyui_api.graph.known import KNOWN
from visioncraft_comfyui_api.graph.lists import Lists
from visioncraft_comfyui_api.graph.recipe import MAX_SEED, Recipe, recipe_of
from visioncraft_comfyui_api.graph.values import Region

LISTS = Lists(
    [ModelInfo(id="fake", name="Fake", engine="fake", aliases=("fake.safetensors",))],
    [
        StoredModel("ink", "lora", "/parts/ink", {}, aliases=("Ink Style.safetensors",)),
        StoredModel("canny", "controlnet", "/parts/canny", {}),
        StoredModel("4x-sharp", "upscaler", "/parts/4x", {}),
        StoredModel("broken", "lora", "/parts/broken", {}, trouble="no LoRA"),
    ],
)


def read(graph: Graph) -> Recipe:
    return recipe_of(checked(nodes_of(graph), LISTS))


def why_not(graph: Graph) -> tuple[str, str, str]:
    """The node, the kind and the details of the first problem."""
    with pytest.raises(GraphRefused) as refused:
        read(graph)
    problem = refused.value.problems[0]
    return problem.node, problem.kind, problem.details


def test_text_to_image() -> None:
    recipe = read(text_to_image("an apple", seed=5))
    assert (recipe.model, recipe.prompt, recipe.steps, recipe.strength) == ("fake", "an apple", 15, None)
    assert recipe.fields == {
        "seed": 5,
        "sampler": "euler",
        "guidance_scale": 7.0,
        "width": 64,
        "height": 64,
        "negative_prompt": "text, watermark",
    }
    assert recipe.prefixes == {"9": "ComfyUI"} and recipe.sampler == "3"


def test_a_model_is_found_by_its_files_name_and_a_sampler_with_its_schedule() -> None:
    graph = text_to_image(sampler_name="dpmpp_2m_sde_gpu", scheduler="karras")
    graph["4"]["inputs"]["ckpt_name"] = "fake.safetensors"
    recipe = read(graph)
    assert (recipe.model, recipe.fields["sampler"]) == ("fake", "dpmpp_2m_sde_karras")


def test_a_seed_of_comfyuis_upper_half_is_folded_and_told() -> None:
    recipe = read(text_to_image(seed=2**64 - 1))
    assert recipe.fields["seed"] == MAX_SEED and "seed" in recipe.warnings[0]


def test_numbers_may_be_words_and_words_numbers() -> None:
    assert read(text_to_image(seed="12", steps="20", cfg="6.5")).fields["seed"] == 12


def test_a_lora_a_skipped_layer_and_a_controlnet() -> None:
    graph = text_to_image(model=["20", 0], positive=["23", 0], negative=["23", 1])
    graph["20"] = node(
        "LoraLoader",
        model=["4", 0],
        clip=["4", 1],
        lora_name="Ink Style.safetensors",
        strength_model=0.5,
        strength_clip=0.5,
    )
    graph["21"] = node("CLIPSetLastLayer", clip=["20", 1], stop_at_clip_layer=-2)
    graph["6"]["inputs"]["clip"] = graph["7"]["inputs"]["clip"] = ["21", 0]
    graph["22"] = node("ControlNetLoader", control_net_name="canny")
    graph["24"] = node("LoadImage", image="edges.png")
    graph["23"] = node(
        "ControlNetApplyAdvanced",
        positive=["6", 0],
        negative=["7", 0],
        control_net=["22", 0],
        image=["24", 0],
        strength=0.8,
        start_percent=0,
        end_percent=1,
    )
    recipe = read(graph)
    assert recipe.fields["loras"] == [{"name": "ink", "weight": 0.5}]
    assert recipe.fields["clip_skip"] == 2
    assert recipe.fields["controlnet"] == {"name": "canny", "scale": 0.8}
    assert recipe.follows is not None and recipe.follows.name == "edges.png"
    assert recipe.warnings == []


def test_inpainting_by_the_images_own_transparency() -> None:
    graph = image_to_image("hole.png", denoise=0.6)
    graph["11"] = node("VAEEncodeForInpaint", pixels=["10", 0], vae=["4", 2], mask=["10", 1], grow_mask_by=6)
    recipe = read(graph)
    assert recipe.mask == Region("hole.png", "10", "alpha", grow=6) and recipe.strength == 0.6


def test_inpainting_by_a_mask_of_its_own_the_other_way_around() -> None:
    graph = image_to_image("whole.png")
    graph["12"] = node("LoadImageMask", image="mask.png", channel="red")
    graph["13"] = node("InvertMask", mask=["12", 0])
    graph["14"] = node("SetLatentNoiseMask", samples=["11", 0], mask=["13", 0])
    graph["3"]["inputs"]["latent_image"] = ["14", 0]
    assert read(graph).mask == Region("mask.png", "12", "grey", invert=True)


def test_an_image_is_scaled_and_repeated() -> None:
    graph = image_to_image("wide.png")
    graph["12"] = node("ImageScale", image=["10", 0], upscale_method="area", width=128, height=64, crop="center")
    graph["11"]["inputs"]["pixels"] = ["12", 0]
    graph["13"] = node("RepeatLatentBatch", samples=["11", 0], amount=3)
    graph["3"]["inputs"]["latent_image"] = ["13", 0]
    recipe = read(graph)
    assert recipe.image is not None and recipe.image.cropped
    assert (recipe.fields["width"], recipe.fields["height"], recipe.fields["num_images"]) == (128, 64, 3)


def second_pass(**between: dict[str, Any]) -> Graph:
    """Text to image, then something between, then a second sampler."""
    graph = {**text_to_image(), **between}
    graph["30"] = node("KSampler", **{**graph["3"]["inputs"], "latent_image": ["31", 0], "denoise": 0.5, "steps": 10})
    graph["8"]["inputs"]["samples"] = ["30", 0]
    return graph


def test_a_second_pass_over_larger_latents() -> None:
    by = node("LatentUpscaleBy", samples=["3", 0], upscale_method="nearest-exact", scale_by=1.5)
    assert read(second_pass(**{"31": by})).fields["hires"] == {"scale": 1.5, "strength": 0.5, "steps": 10}
    to = node("LatentUpscale", samples=["3", 0], upscale_method="area", width=128, height=128, crop="disabled")
    assert read(second_pass(**{"31": to})).fields["hires"]["scale"] == 2


def test_a_second_pass_over_what_an_upscaler_has_enlarged() -> None:
    between = {
        "40": node("UpscaleModelLoader", model_name="4x-sharp"),
        "41": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "42": node("ImageUpscaleWithModel", upscale_model=["40", 0], image=["41", 0]),
        "43": node("ImageScaleBy", image=["42", 0], upscale_method="area", scale_by=0.5),
        "31": node("VAEEncode", pixels=["43", 0], vae=["4", 2]),
    }
    expected = {"scale": 2.0, "strength": 0.5, "steps": 10, "upscaler": "4x-sharp"}
    assert read(second_pass(**between)).fields["hires"] == expected


def test_three_samplers_in_a_row_are_too_many() -> None:
    graph = second_pass(**{"31": node("LatentUpscaleBy", samples=["3", 0], upscale_method="area", scale_by=1.5)})
    graph["32"] = node("KSampler", **{**graph["30"]["inputs"], "latent_image": ["30", 0]})
    graph["8"]["inputs"]["samples"] = ["32", 0]
    assert why_not(graph)[0] == "32"


def test_a_finished_image_is_enlarged() -> None:
    graph = text_to_image()
    graph["40"] = node("UpscaleModelLoader", model_name="4x-sharp")
    graph["41"] = node("ImageUpscaleWithModel", upscale_model=["40", 0], image=["8", 0])
    graph["9"]["inputs"]["images"] = ["41", 0]
    recipe = read(graph)
    assert (recipe.fields["upscaler"], recipe.fields["upscale"]) == ("4x-sharp", 4.0)


def test_an_image_is_enlarged_without_drawing() -> None:
    graph = {
        "1": node("LoadImage", image="small.png"),
        "2": node("UpscaleModelLoader", model_name="4x-sharp"),
        "3": node("ImageUpscaleWithModel", upscale_model=["2", 0], image=["1", 0]),
        "4": node("SaveImage", filename_prefix="large", images=["3", 0]),
    }
    recipe = read(graph)
    assert (recipe.model, recipe.strength, recipe.fields["upscale"]) == (None, 0.0, 4.0)


def test_flux_by_its_own_sampler() -> None:
    recipe = read(flux("an apple", seed=3))
    assert (recipe.model, recipe.steps, recipe.sampler) == ("fake", 15, "13")
    assert recipe.fields["guidance_scale"] == 3.5 and recipe.fields["sampler"] == "euler"
    assert recipe.origin("seed") == ("25", "noise_seed") and recipe.origin("num_inference_steps") == ("17", "steps")


def test_a_sampler_that_leaves_out_steps_begins_with_an_image() -> None:
    graph = image_to_image("an.png")
    inputs = {name: value for name, value in graph["3"]["inputs"].items() if name not in ("seed", "denoise")}
    more = {"add_noise": "enable", "noise_seed": 1, "start_at_step": 5, "end_at_step": 10000}
    advanced: dict[str, Any] = {**inputs, **more, "steps": 20, "return_with_leftover_noise": "disable"}
    graph["3"] = node("KSamplerAdvanced", **advanced)
    recipe = read(graph)
    assert (recipe.strength, recipe.steps) == (0.75, 15)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"sampler_name": "quantum"}, "value_not_in_list"),
        ({"steps": 0}, "value_smaller_than_min"),
        ({"cfg": 101}, "value_bigger_than_max"),
        ({"cfg": float("nan")}, "invalid_input_type"),
        ({"seed": "many"}, "invalid_input_type"),
        ({"seed": {}}, "invalid_input_type"),
        ({"model": "fake"}, "bad_linked_input"),
        ({"model": ["99", 0]}, "bad_linked_input"),
        ({"model": ["4", 1]}, "return_type_mismatch"),
        ({"model": ["4", 7]}, "return_type_mismatch"),
    ],
)
def test_a_wrong_input_is_refused_in_comfyuis_words(change: dict[str, Any], kind: str) -> None:
    assert why_not(text_to_image(**change))[:2] == ("3", kind)


def test_a_missing_input_is_refused() -> None:
    graph = text_to_image()
    del graph["3"]["inputs"]["seed"]
    assert why_not(graph) == ("3", "required_input_missing", "seed")


def test_a_circle_is_refused() -> None:
    graph = text_to_image(model=["20", 0])
    graph["20"] = node("ModelSamplingSD3", model=["21", 0], shift=3)
    graph["21"] = node("ModelSamplingSD3", model=["20", 0], shift=3)
    assert why_not(graph)[1] == "dependency_cycle"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"denoise": 0.5}, "3"),  # without an image
        ({"model": ["50", 0]}, "6"),  # the text encoder is another model's
    ],
)
def test_what_cannot_be_drawn_is_named(change: dict[str, Any], refused: str) -> None:
    graph = text_to_image(**change)
    lists = Lists([*LISTS.models, ModelInfo(id="other", name="Other", engine="fake")], LISTS.parts)
    graph["50"] = node("CheckpointLoaderSimple", ckpt_name="other")
    with pytest.raises(GraphRefused) as error:
        recipe_of(checked(nodes_of(graph), lists))
    assert [each.node for each in error.value.problems] == [refused]


def test_two_images_in_one_graph_are_refused() -> None:
    graph = text_to_image()
    graph |= {f"1{key}": each for key, each in text_to_image("another").items()}
    for key in ("13", "18", "19"):
        graph[key]["inputs"] |= {"samples": ["13", 0]} if key == "18" else {"images": ["18", 0]} if key == "19" else {}
    graph["13"]["inputs"] |= {"positive": ["16", 0]}
    assert "two images" in why_not(graph)[2]


@pytest.mark.parametrize("prompt", [[], "graph", 7, {"1": None}, {"1": {"inputs": {}}}, {"1": {"class_type": 3}}])
def test_what_is_no_graph_is_refused(prompt: object) -> None:
    with pytest.raises(GraphRefused, match="Cannot execute"):
        nodes_of(prompt)


def test_a_part_that_cannot_be_used_is_not_listed() -> None:
    assert LISTS.values("loras") == ["ink"] and LISTS.meaning("loras", "broken") is None


def test_every_known_class_is_described_as_comfyui_does() -> None:
    for name, known in KNOWN.items():
        told = described(name, known, LISTS)
        assert told["name"] == name and len(told["output"]) == len(told["output_name"]) == len(told["output_is_list"])
        for each in told["input"]["required"].values():
            assert isinstance(each[0], str | list)


@pytest.mark.parametrize(("taken", "strength"), [(20, 0.3), (15, 0.5), (1, 0.01), (7, 0.77), (20, 1.0), (50, 0.999)])
def test_as_many_steps_are_taken_as_the_node_says(taken: int, strength: float) -> None:
    steps, part = spread(taken, strength)
    assert int(steps * part) == taken and 0 < part <= 1


@pytest.mark.parametrize(
    ("name", "factor"), [("4x-UltraSharp", 4), ("RealESRGAN_x2plus", 2), ("8x_NMKD", 8), ("sharp", 4)]
)
def test_an_upscalers_name_tells_its_factor(name: str, factor: float) -> None:
    assert native_factor(name) == factor
