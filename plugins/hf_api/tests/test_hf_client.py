"""Hugging Face's own client against the running server: `InferenceClient` and `AsyncInferenceClient`, unchanged."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from typing import Any

import pytest
from dialect_kit import TOKEN, full_queue, jobs_of, png
from harness import Server
from huggingface_hub import AsyncInferenceClient, ImageToImageTargetSize, InferenceClient
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from PIL import Image
from visioncraft import read_record

SMALL: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 15}


def client(server: Server, model: str = "fake", token: str = TOKEN, **headers: str) -> InferenceClient:
    return InferenceClient(model=f"{server.url}/hf/{model}", token=token, headers=headers)


def newest(server: Server) -> dict[str, Any]:
    entry: dict[str, Any] = server.get("/gallery?limit=1&image_data=false").json()["images"][0]
    return entry


def facts_of(server: Server) -> dict[str, Any]:
    """What the file of the newest image says of its making."""
    record = read_record(server.get(newest(server)["url"]).content)
    assert record is not None
    return dict(record.facts)


def test_a_text_becomes_an_image(server: Server) -> None:
    image = client(server).text_to_image("red apple", seed=7, negative_prompt="pear", guidance_scale=3.5, **SMALL)
    assert image.size == (64, 64)
    kept = newest(server)
    assert (kept["prompt"], kept["negative_prompt"], kept["seed"]) == ("red apple", "pear", 7)
    assert facts_of(server)["dialect"] == "hf"


def test_the_asynchronous_client_draws_too(server: Server) -> None:
    asynchronous = AsyncInferenceClient(model=f"{server.url}/hf/fake", token=TOKEN)
    assert asyncio.run(asynchronous.text_to_image("red apple", **SMALL)).size == (64, 64)


def test_a_url_without_a_model_draws_with_the_default_one(server: Server) -> None:
    client = InferenceClient(base_url=f"{server.url}/hf", token=TOKEN)
    assert client.text_to_image("red apple", extra_body={"seed": 3}).size == (512, 512)


def test_a_models_id_may_have_its_owner_before_it(server: Server) -> None:
    few = client(server, "somebody/fake-few-steps")
    few.text_to_image("red apple", width=64, height=64, num_inference_steps=2, guidance_scale=1.0)
    assert newest(server)["model"] == "fake-few-steps"


def test_an_image_is_drawn_over(server: Server) -> None:
    image = client(server).image_to_image(
        png("blue", 128, 64),
        prompt="make it green",
        target_size=ImageToImageTargetSize(width=64, height=64),
        strength=0.5,
    )
    assert image.size == (64, 64)
    assert image.convert("RGB").getpixel((5, 5)) == (0, 0, 255)
    assert newest(server)["prompt"] == "make it green"


def test_an_image_without_a_size_decides_the_size(server: Server) -> None:
    assert client(server).image_to_image(png("blue", 128, 64), prompt="make it green").size == (128, 64)


@pytest.mark.parametrize("parameters", [{}, {"guidance_scale": 2.0}])
def test_an_image_without_a_prompt_is_told_what_is_missing(server: Server, parameters: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="image_to_image\\(image, prompt="):
        client(server).image_to_image(png(), **parameters)


@pytest.mark.parametrize(("kind", "form"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_accept_chooses_the_format(server: Server, kind: str, form: str) -> None:
    image = client(server, Accept=f"image/{kind}").text_to_image("red apple", **SMALL)
    assert image.format == form


def test_a_class_of_diffusers_is_a_sampler(server: Server) -> None:
    client(server).text_to_image("red apple", scheduler="EulerAncestralDiscreteScheduler", **SMALL)
    job = server.get(f"/jobs/{jobs_of(server, 'red apple')[0]}").json()
    assert job["parameters"]["sampler"] == "euler_a"


def test_what_means_nothing_here_is_told(server: Server) -> None:
    body = {"inputs": "red apple", "parameters": {**SMALL, "use_cache": True, "wait_for_model": None}}
    answer = server.post("/hf/fake", body)
    assert answer.headers["content-type"] == "image/png"
    assert json.loads(answer.headers["x-warnings"]) == ["'use_cache' is not a parameter here and changed nothing"]


def test_an_error_names_the_field_and_what_would_be_right(server: Server) -> None:
    with pytest.raises(BadRequestError, match="Invalid width: a multiple of 8 for fake; nearest is 96"):
        client(server).text_to_image("red apple", width=99)


def test_an_unknown_model_is_not_found_and_others_are_named(server: Server) -> None:
    with pytest.raises(HfHubHTTPError, match=r"There are: .*fake") as caught:
        client(server, "nobody/nothing").text_to_image("red apple")
    assert caught.value.response.status_code == 404


def test_a_wrong_token_is_refused_in_words_that_the_client_shows(server: Server) -> None:
    with pytest.raises(HfHubHTTPError, match="neither this server's token nor a key") as caught:
        client(server, token="wrong").text_to_image("red apple")
    assert caught.value.response.json().keys() == {"error"}


def test_a_client_that_hangs_up_cancels_its_job(server: Server) -> None:
    async def leave() -> str:
        waiting = AsyncInferenceClient(model=f"{server.url}/hf/fake", token=TOKEN)
        drawing = asyncio.create_task(waiting.text_to_image("gated hf-left", **SMALL))
        server.permit("hf-left", 1)
        await asyncio.to_thread(server.reached, "hf-left", 1)
        drawing.cancel()
        await asyncio.wait([drawing])
        return jobs_of(server, "gated hf-left")[0]

    job = asyncio.run(leave())
    server.permit("hf-left", 100)
    assert server.ended(job)["status"] == "cancelled"


def test_a_retry_with_the_same_key_draws_nothing_more(server: Server) -> None:
    keyed = client(server, **{"Idempotency-Key": "hf-once"})
    first, second = (keyed.text_to_image("noise once", **SMALL) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert len(jobs_of(server, "noise once")) == 1


def test_a_full_queue_says_when_to_come_back(server: Server) -> None:
    with full_queue(server, "hf-full"), pytest.raises(HfHubHTTPError, match="429 Too Many Requests") as caught:
        client(server).text_to_image("red apple", **SMALL)
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_an_engine_that_fails_is_an_error_without_its_secrets(server: Server) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client(server).text_to_image("fail: crash", **SMALL)
    assert "hunter2" not in caught.value.response.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"red apple",
        b"[]",
        b"null",
        b'{"inputs": null}',
        b'{"inputs": 5}',
        b'{"inputs": ["red apple"]}',
        b'{"inputs": ""}',
        b'{"inputs": "a", "parameters": []}',
        b'{"inputs": "a", "parameters": {"width": "wide"}}',
        b'{"inputs": "a", "parameters": {"width": 1e400}}',
        b'{"inputs": "a", "parameters": {"seed": ' + b"9" * 400 + b"}}",
        b'{"inputs": "a", "parameters": {"loras": {"name": 1}}}',
        b'{"inputs": "a", "parameters": {"guidance_scale": true, "scheduler": 5}}',
        b'{"inputs": "a", "parameters": {"target_size": {"width": 64}}}',
        b'{"inputs": "aGVsbG8=", "parameters": {"prompt": "a"}}',
        b"\x89PNG\r\n\x1a\n",
        b'{"inputs": ' + b"[" * 5000,
    ],
)
def test_a_body_that_is_wrong_is_the_clients_error(server: Server, body: bytes) -> None:
    answer = server.client.post("/hf/fake", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["error"], str)


def test_a_body_needs_no_content_type(server: Server) -> None:
    body = json.dumps({"inputs": "red apple", "parameters": SMALL}).encode()
    answer = server.client.post("/hf/fake", content=body)
    assert Image.open(BytesIO(answer.content)).size == (64, 64)
