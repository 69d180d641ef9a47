"""`webuiapi` as its users write scripts with it: everything but the address is theirs."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from dialect_kit import png
from harness import Server
from PIL import Image
from webuiapi import ControlNetUnit, WebUIApi

RED, BLUE = (255, 0, 0), (0, 0, 255)


def newest(server: Server) -> dict[str, Any]:
    """The parameters of the job that ended last."""
    found: dict[str, Any] = server.get("/jobs?limit=1").json()["jobs"][0]["parameters"]
    return found


def colour(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    red, _, blue = np.asarray(image.convert("RGB"))[y, x]
    return RED if red > blue else BLUE


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images are alike in every pixel."""
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_text_becomes_images_whose_seeds_follow_each_other(webui: WebUIApi) -> None:
    drawn = webui.txt2img(prompt="a red apple", negative_prompt="leaf", seed=5, batch_size=2, n_iter=2, width=64)
    assert [image.size for image in drawn.images] == [(64, 512)] * 4
    info = drawn.info
    assert info["all_seeds"] == [5, 6, 7, 8] and info["all_prompts"] == ["a red apple"] * 4
    assert (info["seed"], info["width"], info["height"], info["warnings"]) == (5, 64, 512, [])
    assert info["infotexts"][1].startswith("a red apple\nNegative prompt: leaf\nSteps: 15, Sampler: Euler a")
    assert drawn.parameters["sampler_name"] == "Euler a"


def test_an_image_names_the_dialect_that_it_was_asked_for_in(webui: WebUIApi) -> None:
    drawn = webui.txt2img(prompt="a fact", width=64, height=64)
    assert '"dialect": "a1111"' in drawn.image.text["visioncraft"]


@pytest.mark.parametrize("asked", ["DPM++ 2M Karras", "k_dpmpp_2m_ka", "dpmpp_2m_karras"])
def test_any_spelling_of_a_sampler_is_understood(webui: WebUIApi, a1111: Server, asked: str) -> None:
    drawn = webui.txt2img(prompt="a sampler", sampler_name=asked, width=64, height=64)
    assert newest(a1111)["sampler"] == "dpm++_2m_karras"
    assert drawn.info["sampler_name"] == "DPM++ 2M"


def test_a_second_pass_is_drawn(webui: WebUIApi, a1111: Server) -> None:
    asked = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.5, "hr_second_pass_steps": 10}
    webui.txt2img(prompt="two passes", width=64, height=64, **asked)
    assert newest(a1111)["hires"] == {"scale": 1.5, "strength": 0.5, "steps": 10, "upscaler": None}
    webui.txt2img(prompt="two passes", width=64, height=64, **asked, hr_upscaler="Lanczos", hr_resize_x=128)
    assert newest(a1111)["hires"] == {"scale": 2.0, "strength": 0.5, "steps": 10, "upscaler": "lanczos"}


@pytest.mark.parametrize(("mode", "left", "right"), [(0, RED, BLUE), (1, RED, BLUE), (2, RED, BLUE)])
def test_an_image_is_drawn_over_at_the_size_asked_for(
    webui: WebUIApi, apple: Image.Image, mode: int, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    drawn = webui.img2img(images=[apple], prompt="", resize_mode=mode, width=64, height=64, denoising_strength=0.5)
    assert drawn.image.size == (64, 64)
    assert (colour(drawn.image, 10, 32), colour(drawn.image, 54, 32)) == (left, right)


def test_a_crop_shows_the_middle(webui: WebUIApi) -> None:
    wide = Image.new("RGB", (192, 64), "red")
    wide.paste("blue", (64, 0, 128, 64))
    assert colour(webui.img2img(images=[wide], resize_mode=1, width=64, height=64).image, 2, 32) == BLUE
    assert colour(webui.img2img(images=[wide], resize_mode=2, width=64, height=64).image, 2, 32) == RED


def test_a_mask_is_read_and_what_cannot_be_done_is_told(webui: WebUIApi, a1111: Server, apple: Image.Image) -> None:
    mask = Image.new("L", apple.size, 255)
    asked = {"images": [apple], "mask_image": mask, "prompt": "a leaf", "width": 128, "height": 64}
    told = webui.img2img(**asked, inpaint_full_res=True, inpainting_fill=2).info["warnings"]
    assert [each.rpartition("(")[2] for each in told] == ["inpaint_full_res)", "inpainting_fill 1)"]
    assert newest(a1111)["mask"].startswith("sha256:") and newest(a1111)["strength"] == 0.75
    assert webui.img2img(**asked, inpaint_full_res=False, inpainting_fill=1).info["warnings"] == []


def test_nothing_is_drawn_over_an_image_with_strength_0(webui: WebUIApi, apple: Image.Image) -> None:
    drawn = webui.img2img(images=[apple], denoising_strength=0, width=128, height=64)
    assert same(drawn.image, apple)


def test_a_controlnet_is_followed_and_a_preprocessor_is_told(
    webui: WebUIApi, a1111: Server, apple: Image.Image
) -> None:
    unit = ControlNetUnit(image=apple, module="canny", model="control-edges [d14c016b]", weight=0.7, guidance_end=0.5)
    own: dict[str, Any] = {}  # webuiapi keeps units in its default, for all calls to come
    asked = {"prompt": "followed", "alwayson_scripts": own, "width": 64, "height": 64}
    drawn = webui.txt2img(**asked, controlnet_units=[unit, unit])
    control = newest(a1111)["controlnet"]
    assert (control["name"], control["scale"]) == ("control-edges", 0.7)
    assert control["image"].startswith("sha256:")
    words = " ".join(drawn.info["warnings"])
    assert all(each in words for each in ("canny", "first of 2", "first step to the last"))


def test_an_image_is_enlarged_by_a_factor(webui: WebUIApi, a1111: Server, apple: Image.Image) -> None:
    large = webui.extra_single_image(apple, upscaler_1="Lanczos", upscaling_resize=3)
    assert same(large.image, apple.resize((384, 192), Image.Resampling.LANCZOS))
    assert newest(a1111)["strength"] == 0
    told = webui.extra_single_image(apple, upscaler_1="Lanczos", gfpgan_visibility=1, upscaling_resize=9).info
    assert "GFPGAN" in told and "not by 9" in told


def test_images_are_enlarged_to_a_size_and_cropped_to_it(webui: WebUIApi, apple: Image.Image) -> None:
    asked = {"upscaler_1": "Lanczos", "resize_mode": 1, "upscaling_resize_w": 256, "upscaling_resize_h": 256}
    assert [each.size for each in webui.extra_batch_images([apple, apple], **asked).images] == [(256, 256)] * 2
    assert webui.extra_single_image(apple, **asked, upscaling_crop=False).image.size == (512, 256)


def test_no_upscaler_leaves_an_image_as_it_is(webui: WebUIApi, apple: Image.Image) -> None:
    assert same(webui.extra_single_image(apple).image, apple)


def test_an_image_says_what_it_was_drawn_with(webui: WebUIApi) -> None:
    drawn = webui.txt2img(prompt="a fox, running", seed=3, width=64, height=64)
    found = webui.png_info(drawn.image)
    assert found.info == drawn.info["infotexts"][0]
    assert found.parameters["Prompt"] == "a fox, running" and found.parameters["Seed"] == "3"
    assert webui.interrogate(drawn.image).info == "a fox, running"


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_images_come_in_the_selected_format_with_their_text(webui: WebUIApi, a1111: Server, kind: str) -> None:
    drawn = webui.txt2img(prompt="another format", override_settings={"samples_format": kind}, width=64, height=64)
    buffer = io.BytesIO()
    assert drawn.image.format == {"jpg": "JPEG", "webp": "WEBP"}[kind]
    drawn.image.save(buffer, drawn.image.format, exif=drawn.image.getexif())
    sent = a1111.post("/sdapi/v1/png-info", {"image": drawn.json["images"][0]}).json()
    assert sent["info"] == drawn.info["infotexts"][0]


def test_an_image_of_which_nothing_is_known_has_no_caption(webui: WebUIApi, apple: Image.Image) -> None:
    assert webui.png_info(apple).json == {"info": "", "items": {}, "parameters": {}}
    with pytest.raises(RuntimeError) as refused:
        webui.interrogate(apple)
    assert refused.value.args[0] == 404


def test_every_list_is_there(webui: WebUIApi, a1111: Server) -> None:
    assert {"Euler a", "DPM++ 2M", "UniPC"} <= set(webui.util_get_sampler_names())
    assert {"automatic", "karras", "sgm_uniform"} <= set(webui.util_get_scheduler_names())
    assert webui.util_get_model_names()[:2] == ["fake", "fake-few-steps"]
    assert [each["name"] for each in webui.get_upscalers()] == ["None", "Lanczos"]
    assert webui.get_latent_upscale_modes() == [{"name": "Latent"}]
    empty = ("sd_vae", "hypernetworks", "face_restorers", "realesrgan_models", "prompt_styles", "loras")
    assert all(getattr(webui, f"get_{name}")() == [] for name in empty)
    assert webui.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert webui.get_memory()["ram"]["total"] > 0 and webui.get_cmd_flags() == {}
    assert webui.refresh_checkpoints() is None
    assert (webui.controlnet_model_list(), webui.controlnet_module_list()) == (["None"], ["none"])
    (kind,) = a1111.get("/controlnet/control_types").json()["control_types"].values()
    assert (kind["model_list"], kind["module_list"]) == (["None"], ["none"])


def test_the_preprocessor_none_gives_back_what_it_is_sent(a1111: Server) -> None:
    image = b64encode(png()).decode()
    asked = {"controlnet_images": [f"data:image/png;base64,{image}", image]}
    assert a1111.post("/controlnet/detect", asked).json()["images"] == [image, image]
    refused = a1111.post("/controlnet/detect", {**asked, "controlnet_module": "canny"})
    assert refused.status_code == 400 and "condition itself" in refused.json()["detail"]


def test_a_model_is_selected_for_this_dialect_and_not_for_the_house(webui: WebUIApi, a1111: Server) -> None:
    before = webui.get_options()
    try:
        webui.util_set_model("Fake-Few")
        assert webui.util_get_current_model() == "fake-few-steps"
        drawn = webui.txt2img(prompt="selected", width=64, height=64)
        assert drawn.info["sd_model_name"] == "fake-few-steps"
        assert drawn.info["steps"] == 4 and "takes steps of 1 to 4: 4, not 15" in drawn.info["warnings"][0]
        assert a1111.draw("the house's", width=64, height=64).json()["model"] == "fake"
        once = webui.txt2img(prompt="once", override_settings={"sd_model_checkpoint": "fake.safetensors"}, width=64)
        assert once.info["sd_model_name"] == "fake"
        assert webui.util_get_current_model() == "fake-few-steps"
    finally:
        assert webui.set_options(before) == {}
    assert webui.get_options() == before


def test_a_size_that_the_model_does_not_draw_is_brought_near(webui: WebUIApi) -> None:
    drawn = webui.txt2img(prompt="large", width=2048, height=1001)
    assert drawn.image.size == (1024, 504) and "fake draws 1024x504, not 2048x1001" in drawn.info["warnings"]


@pytest.mark.parametrize(
    ("status", "detail", "asked"),
    [
        (404, "Sampler not found", {"sampler_name": "Restart"}),
        (404, "Script 'Outpainting mk2' not found", {"script_name": "Outpainting mk2"}),
        (404, "Model 'nowhere' not available", {"override_settings": {"sd_model_checkpoint": "nowhere"}}),
        (400, "Prompt cannot be empty", {"prompt": " "}),
        (400, "batch_size times n_iter", {"n_iter": 17}),
        (500, "failed", {"prompt": "fail: crash"}),
        (503, "Not enough VRAM", {"prompt": "fail: vram"}),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_its_own_form(
    webui: WebUIApi, status: int, detail: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(RuntimeError) as refused:
        webui.txt2img(**{"prompt": "an apple", "width": 64, "height": 64, **asked})
    code, text = refused.value.args
    assert code == status and detail in text
    assert '"detail"' in text and "hunter2" not in text


def test_an_image_by_a_url_is_refused(a1111: Server) -> None:
    answer = a1111.post("/sdapi/v1/img2img", {"init_images": ["http://127.0.0.1/secret.png"], "prompt": "x"})
    assert answer.status_code == 400 and "not fetched" in answer.json()["detail"]
