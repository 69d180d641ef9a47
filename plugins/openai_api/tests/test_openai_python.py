"""OpenAI's own Python client, with nothing changed but its address."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import httpx
import openai
import pytest
from harness import Server
from openai import OpenAI
from PIL import Image


def image_of(item: Any) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(item.b64_json)))


def times_drawn(server: Server, prompt: str) -> int:
    return [each["prompt"] for each in server.get("/fake/seen").json()].count(prompt)


def fill_queue(server: Server, gate: str) -> list[str]:
    """One job that draws until it is permitted to go on, and as many as may wait behind it."""
    jobs = [server.submit(f"gated {gate}")]
    server.permit(gate, 1)
    server.reached(gate, 1)
    return jobs + [server.submit(f"gated {gate}") for _ in range(2)]


def test_text_becomes_an_image_of_the_size_that_was_asked_for(client: OpenAI) -> None:
    answer = client.images.generate(prompt="red apple", model="fake", size="128x64", extra_body={"seed": 7})
    assert answer.data is not None and answer.usage is not None
    [item] = answer.data
    assert item.url is None
    image = image_of(item)
    assert (image.size, answer.size, answer.output_format) == ((128, 64), "128x64", "png")
    assert image.getpixel((0, 0)) == (7, 0, 0)
    assert answer.usage.total_tokens == 0 and answer.usage.input_tokens_details.text_tokens == 0
    assert answer.created > 1_700_000_000 and answer.background == "opaque"


def test_the_image_is_in_the_gallery_and_knows_in_which_dialect_it_was_asked_for(
    client: OpenAI, openai_server: Server
) -> None:
    answer = client.images.with_raw_response.generate(prompt="a pear", size="64x64")
    image_id = answer.headers["x-image-id"]
    record = next(each for each in openai_server.get("/gallery?limit=20").json()["images"] if each["id"] == image_id)
    assert record["prompt"] == "a pear"
    job = openai_server.get(f"/jobs/{answer.headers['x-job-id']}").json()
    assert job["status"] == "succeeded"


def test_several_images_have_seeds_that_follow_each_other(client: OpenAI) -> None:
    answer = client.images.generate(prompt="pears", n=3, size="64x64", extra_body={"seed": 1})
    assert answer.data is not None
    assert [image_of(item).getpixel((0, 0)) for item in answer.data] == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]
    assert [item.model_extra["seed"] for item in answer.data if item.model_extra] == [1, 2, 3]


@pytest.mark.parametrize(("output_format", "name"), [("png", "PNG"), ("webp", "WEBP"), ("jpeg", "JPEG")])
def test_an_image_comes_in_the_format_that_was_asked_for(client: OpenAI, output_format: Any, name: str) -> None:
    answer = client.images.generate(prompt="noise", size="64x64", output_format=output_format, output_compression=50)
    assert answer.data is not None
    assert image_of(answer.data[0]).format == name and answer.output_format == output_format


def test_less_quality_makes_a_smaller_file(client: OpenAI) -> None:
    sizes = []
    for compression in (10, 90):
        answer = client.images.generate(
            prompt="noise", size="64x64", output_format="jpeg", output_compression=compression
        )
        assert answer.data is not None
        sizes.append(len(answer.data[0].b64_json or ""))
    assert sizes[0] < sizes[1]


def test_a_model_that_only_openai_has_means_the_default_model_and_the_answer_says_so(client: OpenAI) -> None:
    answer = client.images.generate(prompt="a fig", model="gpt-image-1", size="64x64")
    assert answer.model_extra is not None
    assert answer.model_extra["model"] == "fake"
    assert answer.model_extra["warnings"] == ["there is no model 'gpt-image-1' here that can draw; fake drew this"]


def test_a_dall_e_model_answers_urls_alone_that_can_be_fetched(client: OpenAI) -> None:
    answer = client.images.generate(prompt="a fig", model="dall-e-2", size="64x64")
    assert answer.data is not None
    [item] = answer.data
    assert item.b64_json is None and item.url is not None
    fetched = httpx.get(item.url)
    assert fetched.headers["content-type"] == "image/png" and fetched.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(("wanted", "drawn"), [("1000x100", "1000x96"), ("3000x1500", "1024x512"), ("8x8", "64x64")])
def test_a_size_that_the_model_cannot_draw_becomes_the_nearest_and_is_told(
    client: OpenAI, wanted: Any, drawn: str
) -> None:
    answer = client.images.generate(prompt="a fig", size=wanted)
    assert answer.size == drawn and answer.data is not None and answer.model_extra is not None
    assert "x".join(map(str, image_of(answer.data[0]).size)) == drawn
    assert drawn in answer.model_extra["warnings"][0]


@pytest.mark.parametrize(("quality", "steps"), [("low", 15), ("auto", 20), ("high", 30), ("hd", 30), ("max", 50)])
def test_quality_is_a_number_of_steps(client: OpenAI, openai_server: Server, quality: Any, steps: int) -> None:
    answer = client.images.with_raw_response.generate(prompt="a fig", size="64x64", quality=quality)
    job = openai_server.get(f"/jobs/{answer.headers['x-job-id']}").json()
    assert job["parameters"]["num_inference_steps"] == steps


def test_further_fields_go_by_the_names_that_people_know_and_by_our_own(client: OpenAI, openai_server: Server) -> None:
    foreign = {"steps": 18, "cfg_scale": 3.5, "negative_prompt": "blur", "sampler": "euler_a"}
    own = {"num_inference_steps": 18, "guidance_scale": 3.5, "negative_prompt": "blur", "sampler": "euler_a"}
    for extra in (foreign, own):
        answer = client.images.with_raw_response.generate(prompt="a fig", size="64x64", extra_body=extra)
        parameters = openai_server.get(f"/jobs/{answer.headers['x-job-id']}").json()["parameters"]
        assert {name: parameters[name] for name in own} == own


def test_a_parameter_that_a_model_declares_is_a_further_field(client: OpenAI, openai_server: Server) -> None:
    answer = client.images.with_raw_response.generate(prompt="sea", model="palette", extra_body={"palette": "cold"})
    assert openai_server.get(f"/jobs/{answer.headers['x-job-id']}").json()["parameters"]["palette"] == "cold"
    with pytest.raises(openai.BadRequestError, match="warm") as refused:
        client.images.generate(prompt="sea", model="palette", extra_body={"palette": "loud"})
    assert refused.value.param == "palette"


def test_a_clouds_model_gets_the_aspect_ratio_and_the_quality_that_are_nearest(
    client: OpenAI, openai_server: Server
) -> None:
    answer = client.images.generate(prompt="cloud", model="leonardo-api", size="1792x1024", quality="hd")
    asked = [each for each in openai_server.get("/fake/seen").json() if each["prompt"] == "cloud"][-1]
    assert (asked["aspect_ratio"], asked["quality"], answer.size) == ("16:9", "high", "1344x768")


def test_a_field_that_means_nothing_is_told_and_one_of_the_protocol_is_not(client: OpenAI) -> None:
    answer = client.images.generate(prompt="fig", size="64x64", user="me", style="vivid", extra_body={"stepz": 3})
    assert answer.model_extra is not None
    assert answer.model_extra["warnings"] == ["'stepz' is not a field here and was ignored"]


def test_a_background_that_cannot_be_drawn_is_told(client: OpenAI) -> None:
    answer = client.images.generate(prompt="fig", size="64x64", background="transparent")
    assert answer.background == "opaque" and answer.model_extra is not None
    assert "transparency" in answer.model_extra["warnings"][0]


def test_an_image_is_edited(client: OpenAI, apple: bytes) -> None:
    answer = client.images.edit(image=("apple.png", apple), prompt="a green apple", model="gpt-image-1")
    assert answer.data is not None
    image = image_of(answer.data[0])
    assert image.size == (128, 64) and image.getpixel((0, 0)) == (255, 0, 0)  # the fake engine hands back what it got


@pytest.mark.filterwarnings("ignore:deprecated")
def test_a_variation_needs_no_words(client: OpenAI, apple: bytes) -> None:
    answer = client.images.create_variation(image=("apple.png", apple), n=2, response_format="b64_json")
    assert answer.data is not None and [image_of(item).size for item in answer.data] == [(128, 64)] * 2


def test_more_references_than_a_model_takes_are_refused_by_their_name(client: OpenAI, apple: bytes) -> None:
    files = [("a.png", apple), ("b.png", apple)]
    with pytest.raises(openai.BadRequestError, match="2 images were sent") as refused:
        client.images.edit(image=files, prompt="both")
    assert refused.value.param == "image"


def test_unfinished_images_come_while_one_is_drawn(client: OpenAI, openai_server: Server) -> None:
    stream = client.images.generate(
        prompt="previews", size="64x64", stream=True, partial_images=2, extra_body={"steps": 15}
    )
    events = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]  # type: ignore[union-attr]
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert image_of(last).size == (64, 64) and last.size == "64x64" and last.usage.total_tokens == 0


def test_a_stream_of_several_edits_ends_with_each_of_them(client: OpenAI, apple: bytes) -> None:
    events = list(client.images.edit(image=("a.png", apple), prompt="both", n=2, stream=True))
    assert [event.type for event in events] == ["image_edit.completed"] * 2


def test_models_are_listed_and_found_with_the_default_one_first(client: OpenAI) -> None:
    models = list(client.models.list())
    assert [model.id for model in models] == ["fake", "fake-few-steps", "leonardo-api", "palette"]
    assert client.models.retrieve("fake-few-steps").owned_by == "fake_engine"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("gpt-image-1")
    assert unknown.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a", "size": "large"}, "size"),
        ({"prompt": "a", "n": 99}, "n"),
        ({"prompt": "a", "extra_body": {"steps": 999}}, "steps"),
        ({"prompt": "a", "extra_body": {"num_inference_steps": 999}}, "num_inference_steps"),
        ({"prompt": "a", "quality": "superb"}, "quality"),
        ({"prompt": "a", "extra_body": {"output_format": "gif"}}, "output_format"),
    ],
)
def test_a_wrong_field_is_named(client: OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(**fields)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    assert param in refused.value.message


@pytest.mark.parametrize("prompt", ["fail: crash", "fail: vram", "fail: unavailable", "fail: upstream"])
def test_what_failed_while_it_was_drawn_is_not_drawn_again(client: OpenAI, openai_server: Server, prompt: str) -> None:
    before = times_drawn(openai_server, prompt)
    with pytest.raises(openai.APIStatusError) as failed:
        client.images.generate(prompt=prompt, size="64x64")
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert times_drawn(openai_server, prompt) - before == 1


def test_a_cloud_that_is_busy_may_be_asked_again_since_nothing_was_drawn(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as busy:
        client.with_options(max_retries=0).images.generate(prompt="fail: limited", size="64x64")
    headers = busy.value.response.headers
    assert headers["retry-after"] == "8" and "x-should-retry" not in headers


def test_a_job_that_somebody_cancels_is_answered_once_with_400(client: OpenAI, openai_server: Server) -> None:
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.images.generate, prompt="gated cancelled", size="64x64")
        openai_server.permit("cancelled", 1)
        openai_server.reached("cancelled", 1)
        [job] = openai_server.get("/jobs?status=running").json()["jobs"]
        openai_server.delete(f"/jobs/{job['id']}")
        openai_server.permit("cancelled", 100)
        with pytest.raises(openai.BadRequestError) as cancelled:
            asked.result()
    assert cancelled.value.code == "cancelled"


def test_a_full_queue_is_told_with_a_time_to_wait_and_a_client_that_waits_is_served_once(
    client: OpenAI, openai_server: Server
) -> None:
    jobs = fill_queue(openai_server, "full")
    with pytest.raises(openai.RateLimitError) as full:
        client.with_options(max_retries=0).images.generate(prompt="one too many", size="64x64")
    assert 1 <= int(full.value.response.headers["retry-after"]) <= 60
    assert full.value.code == "rate_limit_exceeded"
    with ThreadPoolExecutor(1) as threads:
        patient = threads.submit(client.images.generate, prompt="one too many", size="64x64")
        openai_server.permit("full", 1000)
        assert patient.result().data
    assert [openai_server.ended(job)["status"] for job in jobs] == ["succeeded"] * 3
    assert times_drawn(openai_server, "one too many") == 1
