"""Google's own client against the running server: `google-genai`, with nothing changed but its address."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from dialect_kit import TOKEN, full_queue, jobs_of, png
from google import genai
from google.genai import errors, types
from harness import Server
from PIL import Image


def client(server: Server, key: str = TOKEN, **options: Any) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=server.url, **options))


@pytest.fixture
def google(server: Server) -> Iterator[genai.Client]:
    """The client as its users make it, but for the address; without a name it would be closed at once."""
    with client(server) as google:
        yield google


def newest(server: Server) -> dict[str, Any]:
    entry: dict[str, Any] = server.get("/gallery?limit=1&image_data=false").json()["images"][0]
    return entry


def image_in(part: types.Part) -> Image.Image:
    assert part.inline_data is not None
    return Image.open(BytesIO(part.inline_data.data or b""))


def parts_of(answer: types.GenerateContentResponse) -> list[types.Part]:
    assert answer.candidates and answer.candidates[0].content
    return answer.candidates[0].content.parts or []


def test_a_text_becomes_as_many_candidates_as_are_asked_for(server: Server, google: genai.Client) -> None:
    config = types.GenerateContentConfig(candidate_count=2, image_config=types.ImageConfig(aspect_ratio="16:9"))
    made = google.models.generate_content(model="fake", contents="red apple", config=config)
    found = [each.content.parts for each in made.candidates or [] if each.content]
    assert [image_in(parts[0]).size for parts in found if parts] == [(680, 384)] * 2
    assert newest(server)["prompt"] == "red apple"


def test_content_is_an_image_with_its_model_and_its_job(server: Server, google: genai.Client) -> None:
    config = types.GenerateContentConfig(seed=7, response_modalities=["IMAGE"])
    answer = google.models.generate_content(model="fake", contents="red apple", config=config)
    assert image_in(parts_of(answer)[0]).size == (512, 512)
    assert answer.model_version == "fake"
    assert server.get(f"/jobs/{answer.response_id}").json()["seed"] == 7


def test_the_asynchronous_client_draws_too(server: Server, google: genai.Client) -> None:
    answer = asyncio.run(google.aio.models.generate_content(model="fake", contents="red apple"))
    assert image_in(parts_of(answer)[0]).size == (512, 512)


def test_a_stream_has_the_image_in_one_piece(server: Server, google: genai.Client) -> None:
    pieces = list(google.models.generate_content_stream(model="fake", contents="red apple"))
    assert [image_in(parts_of(piece)[0]).size for piece in pieces] == [(512, 512)]


def test_an_image_among_the_contents_is_drawn_over(server: Server, google: genai.Client) -> None:
    sent = types.Part.from_bytes(data=png("blue", 128, 64), mime_type="image/png")
    content = types.Content(role="user", parts=[types.Part.from_text(text="make it green"), sent])
    answer = google.models.generate_content(model="fake", contents=content)
    drawn = image_in(parts_of(answer)[0])
    assert (drawn.size, drawn.convert("RGB").getpixel((0, 0))) == ((128, 64), (0, 0, 255))
    assert newest(server)["prompt"] == "make it green"


def test_a_chat_goes_on_with_the_image_that_it_was_answered(server: Server, google: genai.Client) -> None:
    chat = google.chats.create(model="fake")
    chat.send_message(["a boat", types.Part.from_bytes(data=png("navy", 64, 128), mime_type="image/png")])
    answer = chat.send_message("with a sail")
    assert image_in(parts_of(answer)[0]).size == (64, 128)
    assert newest(server)["prompt"] == "with a sail"


def test_a_model_of_googles_is_drawn_by_the_default_one_which_is_told(server: Server, google: genai.Client) -> None:
    answer = google.models.generate_content(model="gemini-2.5-flash-image", contents="red apple")
    assert [part.text for part in parts_of(answer)][1:] == ["'gemini-2.5-flash-image' is not a model here; fake draws"]
    assert answer.model_version == "fake"


def test_models_are_listed(server: Server) -> None:
    with client(server, api_version="v1beta") as google:
        found = {each.name: each.supported_actions for each in google.models.list()}
        few = google.models.get(model="fake-few-steps")
    assert found["models/fake"] == ["predict", "generateContent"]
    assert few.display_name == "Few steps"


def test_an_error_names_the_field(server: Server, google: genai.Client) -> None:
    config = types.GenerateContentConfig(image_config=types.ImageConfig(aspect_ratio="wide"))
    with pytest.raises(errors.ClientError, match="Invalid aspectRatio: width and height as 16:9") as caught:
        google.models.generate_content(model="fake", contents="red apple", config=config)
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


def test_a_wrong_key_is_unauthenticated(server: Server) -> None:
    wrong = client(server, "wrong")
    with pytest.raises(errors.ClientError, match="neither this server's token nor a key") as caught:
        wrong.models.generate_content(model="fake", contents="red apple")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_a_client_that_hangs_up_cancels_its_job(server: Server, google: genai.Client) -> None:
    async def leave() -> str:
        drawing = asyncio.create_task(google.aio.models.generate_content(model="fake", contents="gated gone"))
        server.permit("gone", 1)
        await asyncio.to_thread(server.reached, "gone", 1)
        drawing.cancel()
        await asyncio.wait([drawing])
        return jobs_of(server, "gated gone")[0]

    job = asyncio.run(leave())
    server.permit("gone", 100)
    assert server.ended(job)["status"] == "cancelled"


def test_a_job_that_somebody_cancels_is_not_drawn_again_by_a_client_that_retries(server: Server) -> None:
    retrying = client(server, retry_options=types.HttpRetryOptions(attempts=3, initial_delay=0.01))

    async def cancelled() -> None:
        drawing = asyncio.create_task(retrying.aio.models.generate_content(model="fake", contents="gated stopped"))
        await asyncio.to_thread(server.permit, "stopped", 1)
        await asyncio.to_thread(server.reached, "stopped", 1)
        await asyncio.to_thread(server.delete, f"/jobs/{jobs_of(server, 'gated stopped')[0]}")
        await asyncio.to_thread(server.permit, "stopped", 100)
        await drawing

    with pytest.raises(errors.ClientError) as caught:
        asyncio.run(cancelled())
    assert (caught.value.code, caught.value.status) == (499, "CANCELLED")
    assert len(jobs_of(server, "gated stopped")) == 1


def test_what_a_cloud_service_was_paid_for_is_not_ordered_again(server: Server) -> None:
    retrying = client(server, retry_options=types.HttpRetryOptions(attempts=3, initial_delay=0.01))
    with pytest.raises(errors.ClientError, match="Invalid model ID") as caught:
        retrying.models.generate_content(model="fake", contents="fail: upstream")
    assert (caught.value.code, len(jobs_of(server, "fail: upstream"))) == (424, 1)


def test_a_retry_with_the_same_key_draws_nothing_more(server: Server) -> None:
    keyed = client(server, headers={"Idempotency-Key": "gemini-once"})
    first, second = (keyed.models.generate_content(model="fake", contents="noise once") for _ in range(2))
    assert parts_of(first) == parts_of(second)
    assert len(jobs_of(server, "noise once")) == 1


def test_a_full_queue_says_when_to_come_back(server: Server, google: genai.Client) -> None:
    with full_queue(server, "gemini-full"), pytest.raises(errors.ClientError) as caught:
        google.models.generate_content(model="fake", contents="red apple")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    (told,) = caught.value.details["error"]["details"]
    assert int(told["retryDelay"].removesuffix("s")) >= 1


def test_predictions_are_the_images_of_the_gallery(server: Server) -> None:
    body = {"instances": [{"prompt": "red apple"}], "parameters": {"sampleCount": 1, "width": 64, "height": 64}}
    answer = server.post("/v1beta/models/fake:predict", body)
    assert answer.json()["predictions"][0]["mimeType"] == "image/png"
    kept = server.get(f"/images/{answer.headers['x-image-id']}").content
    assert base64.b64decode(answer.json()["predictions"][0]["bytesBase64Encoded"]) == kept
