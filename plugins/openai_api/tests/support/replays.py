"""What programs that cannot run here send, byte by byte, and what they read of the answer.

Read from their sources in November 2026: Open WebUI 0.12.4, LibreChat, Dify's gpt-image tool, Nextcloud's
integration_openai, hass_local_openai_llm for Home Assistant, n8n.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

BOUNDARY = "0123456789abcdef0123456789abcdef"
JSON = "Content-Type: application/json"
AIOHTTP = ("Accept: */*", "Accept-Encoding: gzip, deflate", "User-Agent: Python/3.11 aiohttp/3.14.3")
AXIOS = ("Accept: application/json, text/plain, */*", "User-Agent: axios/1.18.1", "Accept-Encoding: gzip, compress")
GUZZLE = ("User-Agent: Nextcloud-Server-Crawler/33.0.1", "Accept-Encoding: gzip")
STAINLESS = (
    "Accept: application/json",
    "X-Stainless-Lang: python",
    "X-Stainless-Async: async:asyncio",
    "x-stainless-retry-count: 0",
    "x-stainless-read-timeout: 600",
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a program.

    Args:
        program: Who sends it.
        path: What it asks for.
        headers: Its headers, without Host and Content-Length.
        make: Its body, from a prompt and an image's file.
        read: The image in the answer, as the program takes it out.
    """

    program: str
    path: str
    headers: Sequence[str]
    make: Callable[[str, bytes], bytes]
    read: Callable[[Any], bytes]

    def raw(self, host: str, prompt: str, image: bytes) -> bytes:
        """The request as it goes over the wire."""
        body = self.make(prompt, image)
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {host}", *self.headers, f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + body


def as_json(**fields: Any) -> Callable[[str, bytes], bytes]:
    return lambda prompt, image: json.dumps({**fields, "prompt": prompt}).encode()


def _form(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    begin = b"--" + BOUNDARY.encode() + b"\r\n"
    return b"".join(begin + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + begin[:-2] + b"--\r\n"


def as_aiohttp(prompt: str, image: bytes) -> bytes:
    """Open WebUI's edit: Content-Type before Content-Disposition, text parts with a charset."""
    fields = {"model": "gpt-image-1", "prompt": prompt, "n": "1", "size": "512x512"}
    text = b'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="%s"'
    file = b'Content-Type: image/png\r\nContent-Disposition: form-data; name="image"; filename="0b86ffb2-5a8e-4d5f.png"'
    return _form([(text % name.encode(), value.encode()) for name, value in fields.items()] + [(file, image)])


def as_form_data(prompt: str, image: bytes) -> bytes:
    """LibreChat's edit: npm form-data, the files under `image[]`."""
    fields = {"model": "gpt-image-1", "prompt": prompt, "quality": "auto", "size": "auto"}
    text = b'Content-Disposition: form-data; name="%s"'
    file = b'Content-Disposition: form-data; name="image[]"; filename="apple.png"\r\nContent-Type: image/png'
    return _form([(text % name.encode(), value.encode()) for name, value in fields.items()] + [(file, image)])


def as_guzzle(prompt: str, image: bytes) -> bytes:
    """Nextcloud's edit: each part says its length; the file's type is nothing in particular."""
    fields = {"prompt": prompt, "size": "512x512", "response_format": "b64_json"}
    text = b'Content-Disposition: form-data; name="%s"\r\nContent-Length: %d'
    parts = [(text % (name.encode(), len(value)), value.encode()) for name, value in fields.items()]
    file = b'Content-Disposition: form-data; name="image[]"; filename="image_0.png"\r\nContent-Length: %d'
    return _form([(file % len(image), image), *parts])


def first_b64(answer: Any) -> bytes:
    """`data[0].b64_json`, and nothing else."""
    return base64.b64decode(answer["data"][0]["b64_json"])


def of_open_webui(answer: Any) -> bytes:
    """A URL is preferred, and then refused where its address is private."""
    assert not answer["data"][0].get("url"), "Open WebUI refuses a URL of a private address"
    return first_b64(answer)


def of_nextcloud(answer: Any) -> bytes:
    """All URLs and all images: with both, each image would be there twice."""
    found = [item[name] for name in ("url", "b64_json") for item in answer["data"] if item.get(name)]
    assert len(found) == 1
    return base64.b64decode(found[0])


def of_dify(answer: Any) -> bytes:
    """The usage is read whether or not it is there."""
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens_details"]["text_tokens"] == 0
    return first_b64(answer)


MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
OPEN_WEBUI = ("Authorization: Bearer ", JSON, *AIOHTTP)

DRAWS = (
    Request(
        "Open WebUI",
        "/v1/images/generations",
        OPEN_WEBUI,
        as_json(model="dall-e-2", n=1, size="512x512", response_format="b64_json"),
        of_open_webui,
    ),
    Request(
        "Open WebUI with an API version",
        "/v1/images/generations?api-version=2025-04-01-preview",
        OPEN_WEBUI,
        as_json(model="gpt-image-1", n=1, size="auto"),
        of_open_webui,
    ),
    Request(
        "LibreChat",
        "/v1/images/generations",
        ("Authorization: Bearer user_provided", JSON, *STAINLESS[:1], "X-Stainless-Lang: js"),
        as_json(model="gpt-image-1", n=1, background="auto", output_format="png", quality="auto", size="auto"),
        first_b64,
    ),
    Request(
        "LibreChat as with Azure",
        "/v1/images/generations?api-version=2025-04-01-preview",
        ("Authorization: Bearer key", "api-key: key", JSON, *STAINLESS[:1]),
        as_json(model="gpt-image-1", n=1, background="transparent", output_format="png", quality="high", size="auto"),
        first_b64,
    ),
    Request(
        "Dify",
        "/v1/images/generations",
        ("Authorization: Bearer key", JSON, *STAINLESS),
        as_json(model="gpt-image-1", n=1, size="1024x1024", quality="low", background="opaque", moderation="low"),
        of_dify,
    ),
    Request(
        "Nextcloud without /v1",
        "/images/generations",
        ("Authorization: Bearer key", JSON, *GUZZLE),
        as_json(size="512x512", n=1, user="alice", response_format="b64_json"),
        of_nextcloud,
    ),
    Request(
        "Home Assistant",
        "/v1/images/generations",
        ("Authorization: Bearer key", JSON, *STAINLESS),
        as_json(model="a model that was typed in", response_format="b64_json"),
        first_b64,
    ),
    Request(
        "n8n",
        "/v1/images/generations",
        ("Authorization: Bearer key", JSON, *AXIOS),
        as_json(model="dall-e-3", quality="standard", size="1792x1024", style="vivid", response_format="b64_json", n=1),
        first_b64,
    ),
)
EDITS = (
    Request(
        "Open WebUI edits",
        "/v1/images/edits",
        ("Authorization: Bearer ", MULTIPART, *AIOHTTP),
        as_aiohttp,
        of_open_webui,
    ),
    Request(
        "LibreChat edits",
        "/v1/images/edits",
        (*AXIOS, MULTIPART, "Authorization: Bearer key"),
        as_form_data,
        first_b64,
    ),
    Request(
        "Nextcloud edits", "/images/edits", ("Authorization: Bearer key", MULTIPART, *GUZZLE), as_guzzle, of_nextcloud
    ),
)
