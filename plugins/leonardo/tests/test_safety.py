"""What no setting of a remote party may reach: private addresses, endless downloads, the key."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import ValidationError
from standin import StandIn
from visioncraft import GenerationRequest, UpstreamError, VisionCraftError
from visioncraft_leonardo.errors import Lost
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.pictures import fetch_picture
from visioncraft_leonardo.settings import LeonardoSettings

Make = Callable[..., LeonardoGenerator]
Ask = Callable[..., GenerationRequest]
CANARY = "c0ffee00-dead-4bee-8f00-0123456789ab"


def fetch(url: str, **table: Any) -> tuple[bytes, int, int]:
    async def one() -> tuple[bytes, int, int]:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await fetch_picture(client, url, LeonardoSettings(**table))

    return asyncio.run(one())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.7",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "localhost",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_picture_at_a_private_address_is_refused(host: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        fetch(f"https://{host}/picture.jpg")
    assert "private network" in str(caught.value.details["api_error"])


@pytest.mark.parametrize("url", ["http://example.com/a.jpg", "file:///etc/passwd", "ftp://example.com/a.jpg", ""])
def test_a_picture_without_tls_is_refused(url: str) -> None:
    with pytest.raises(UpstreamError, match="not fetched"):
        fetch(url)


def test_a_name_that_has_a_public_and_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(UpstreamError, match="not fetched"):
        fetch("https://rebind.example/a.jpg")


def test_a_redirect_into_a_private_network_is_refused_and_another_is_followed(
    standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    standin.fault("picture", f"redirect https://localhost:{standin.url.rsplit(':', 1)[1]}/pictures/x.jpg")
    with pytest.raises(UpstreamError, match="not fetched"):
        asyncio.run(make().run(ask("trapped"), told))
    asyncio.run(make().run(ask("free"), told))
    (made,) = standin.of("free")
    standin.fault("picture", f"redirect /pictures/{made['id']}.jpg")
    asyncio.run(make().run(ask("free again"), told))
    standin.fault("picture", *[f"redirect /pictures/{made['id']}.jpg"] * 4)
    with pytest.raises(UpstreamError, match="not fetched"):
        asyncio.run(make().run(ask("round and round"), told))


def test_downloads_are_bounded_in_bytes_and_in_pixels(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.side = 512
    made = standin._made("big", {"prompt": "big", "width": 64, "height": 64})
    standin.generations["big"] = made
    url = f"{standin.url}/pictures/big.jpg"
    trusted = {"private_hosts": ("127.0.0.1",)}
    assert fetch(url, **trusted)[1:] == (512, 512)
    with pytest.raises(Lost, match="longer than 65536 bytes"):
        standin.side = 2048
        fetch(url, **trusted, max_picture_bytes=65536)
    monkeypatch.setattr("visioncraft_leonardo.pictures.MAX_PIXELS", 512 * 511)
    with pytest.raises(Lost, match="pixels"):
        standin.side = 512
        fetch(url, **trusted)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_are_taken_and_become_plain_png(
    kind: str, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    seen_through = Image.new("RGBA", (40, 24), (9, 8, 7, 0))
    seen_through.paste((9, 8, 7, 255), (0, 0, 20, 24))
    seen_through.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    monkeypatch.setattr(standin, "picture", lambda name: buffer.getvalue())
    png, width, height = fetch(f"{standin.url}/pictures/any.jpg", private_hosts=("127.0.0.1",))
    plain = Image.open(io.BytesIO(png))
    assert (plain.mode, width, height) == ("RGB", 40, 24)
    assert (plain.getpixel((5, 5)), plain.getpixel((35, 5))) == ((9, 8, 7), (255, 255, 255))


@pytest.mark.parametrize("url", ["http://cloud.leonardo.ai/api", "ftp://x", "", "http://10.0.0.1"])
def test_the_key_is_sent_over_tls_only(url: str) -> None:
    with pytest.raises(ValidationError, match="https"):
        LeonardoSettings(base_url=url)
    LeonardoSettings(base_url="http://10.0.0.1", private_hosts=("10.0.0.1",))


def test_a_redirected_answer_is_not_followed(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("generation", f"redirect {standin.base_url}/me")
    asyncio.run(make().run(ask(), told))
    assert standin.asked["me"] == 0


@pytest.mark.parametrize("fault", ["", "502", "429 900", "moderation", "reset"])
def test_the_key_is_in_no_error_log_traceback_or_file(
    fault: str,
    standin: StandIn,
    make: Make,
    ask: Ask,
    told: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("standin.KEY", CANARY)
    standin.fault("order", fault)
    said = ""
    try:
        said = repr(asyncio.run(make(key=CANARY).run(ask(), told)))
    except VisionCraftError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        said = f"{error.message} {error.details} {''.join(lines)}"
    assert said
    texts = [said, caplog.text, *(str(record.__dict__) for record in caplog.records)]
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert files and caplog.records
    assert not any(CANARY in text for text in texts)
    assert not any(CANARY.encode() in content for content in files)


def test_what_leonardo_says_is_quoted_without_the_key() -> None:
    from visioncraft_leonardo.errors import problem_of

    problem = problem_of(400, {"error": f"bad key {CANARY} in request"}, {}, CANARY)
    assert isinstance(problem, UpstreamError)
    assert problem.details["api_error"] == "bad key *** in request"
