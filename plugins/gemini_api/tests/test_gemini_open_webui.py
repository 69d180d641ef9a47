"""What Open WebUI 0.12.4's engine "Gemini" sends, byte for byte (routers/images.py), and what it reads."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from dialect_kit import TOKEN, jobs_of, png
from harness import Server
from PIL import Image

HEADERS = {
    "Content-Type": "application/json",
    "x-goog-api-key": TOKEN,
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "Python/3.11 aiohttp/3.14.5",
}
PREDICT = (
    b'{"instances": {"prompt": "red apple"}, '
    b'"parameters": {"sampleCount": 2, "outputOptions": {"mimeType": "image/png"}}}'
)
GENERATE = b'{"contents": [{"parts": [{"text": "red apple"}]}]}'
EDIT = b'{"contents": [{"parts": [{"text": "make it green"}, %s]}]}'
INLINE = b'{"inline_data": {"mime_type": "image/png", "data": "%s"}}'

with_and_without_version = pytest.mark.parametrize("base", ["/v1beta", ""])
"""People type the address with the version, as its default has it, or without."""


def sent(server: Server, path: str, body: bytes) -> dict[str, Any]:
    status, content = server.raw("POST", path, body, HEADERS)
    assert status == 200, content
    answer: dict[str, Any] = json.loads(content)
    return answer


def size(data: str) -> tuple[int, int]:
    return Image.open(BytesIO(base64.b64decode(data))).size


@with_and_without_version
def test_predict_draws(server: Server, base: str) -> None:
    answer = sent(server, f"{base}/models/imagen-3.0-generate-002:predict", PREDICT)
    assert [size(each["bytesBase64Encoded"]) for each in answer["predictions"]] == [(512, 512)] * 2


@with_and_without_version
def test_generate_content_draws(server: Server, base: str) -> None:
    answer = sent(server, f"{base}/models/gemini-2.5-flash-image:generateContent", GENERATE)
    parts = answer["candidates"][0]["content"]["parts"]
    assert [size(part["inlineData"]["data"]) for part in parts if part.get("inlineData", {}).get("data")] == [
        (512, 512)
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_an_edit_is_drawn_over_the_first_image(server: Server, count: int) -> None:
    images = [INLINE % base64.b64encode(png(colour, 128, 64)) for colour in ("blue", "red", "lime")[:count]]
    answer = sent(server, "/v1beta/models/gemini-2.5-flash-image:generateContent", EDIT % b", ".join(images))
    parts = answer["candidates"][0]["content"]["parts"]
    drawn = Image.open(BytesIO(base64.b64decode(parts[0]["inlineData"]["data"]))).convert("RGB")
    assert (drawn.size, drawn.getpixel((0, 0))) == ((128, 64), (0, 0, 255))
    told = [part["text"] for part in parts[1:]]
    assert ("only the first of 3 images is drawn over" in told) == (count == 3)


def test_without_a_key_the_status_says_so(server: Server) -> None:
    status, content = server.raw("POST", "/v1beta/models/x:predict", PREDICT, HEADERS | {"x-goog-api-key": ""})
    assert (status, json.loads(content)["error"]["status"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("method", ["predict", "generateContent", "streamGenerateContent"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"instances": [], "contents": []}',
        b'{"instances": {"prompt": 5}, "contents": {"parts": [{"text": 5}]}}',
        b'{"instances": [{"prompt": "a"}, {"prompt": "b"}], "contents": [{"parts": [{"inlineData": {"data": 1}}]}]}',
        b'{"instances": {"prompt": "a"}, "parameters": [], "contents": "a"}',
        b'{"instances": {"prompt": "a"}, "parameters": {"sampleCount": 0}, "contents": [{"parts": [{}]}]}',
        b'{"instances": {"prompt": "a"}, "parameters": {"aspectRatio": "0:1"}, "contents": [5]}',
        b'{"instances": {"prompt": "a"}, "parameters": {"imageSize": "big"}, "contents": [{"parts": 5}]}',
        b'{"instances": {"prompt": ""}, "contents": [{"role": "model", "parts": [{"text": "a"}]}]}',
        b'{"instances": {"prompt": "a"}, "parameters": {"seed": 1e300}, "contents": [{"parts": [{"text": " "}]}]}',
        b'{"instances": {"prompt": "a"}, "parameters": {"sampleCount": 99}, '
        b'"contents": [{"parts": [{"text": "a"}, {"file_data": {"file_uri": "gs://a"}}]}]}',
        b'{"instances": {"prompt": "a\\u0000"}, '
        b'"contents": [{"parts": [{"text": "a"}, {"inline_data": {"data": "aGVsbG8="}}]}]}',
    ],
)
def test_a_body_that_is_wrong_is_the_clients_error(server: Server, method: str, body: bytes) -> None:
    status, content = server.raw("POST", f"/v1beta/models/fake:{method}", body, HEADERS)
    assert (status, json.loads(content)["error"]["status"]) == (400, "INVALID_ARGUMENT"), content


def test_null_is_nothing(server: Server) -> None:
    body = {"instances": {"prompt": "of nothing"}, "parameters": None}
    assert server.post("/v1beta/models/fake:predict", body).status_code == 200
    assert len(jobs_of(server, "of nothing")) == 1
