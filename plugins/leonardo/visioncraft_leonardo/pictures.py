"""A picture's way here: from an address that is no trap, bounded, decoded, and encoded as every other picture is."""

from __future__ import annotations

import asyncio
import socket
import warnings
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
import numpy as np
from PIL import Image
from visioncraft import UpstreamError, encode_png

from visioncraft_leonardo.client import Slot, read_at_most
from visioncraft_leonardo.errors import Lost, NotArrived
from visioncraft_leonardo.settings import LeonardoSettings

MAX_PIXELS = 2**25
"""More than Leonardo.ai draws: 8192 x 4096."""

_MAX_REDIRECTS = 3
_NAT64 = ip_network("64:ff9b::/96")


async def fetch_picture(http: httpx.AsyncClient, url: str, settings: LeonardoSettings) -> tuple[bytes, int, int]:
    """Download a picture and encode it as PNG; answers the bytes, the width and the height in pixels.

    Raises `Lost` or `NotArrived` for what may go better next time, `UpstreamError` for an address that is refused.
    """
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            content = await _download(http, url, settings)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotArrived(f"the picture's host cannot be reached: {type(error).__name__}") from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise Lost(f"the picture was not delivered: {type(error).__name__}") from error
    return await asyncio.to_thread(_as_png, content)


async def send_picture(http: httpx.AsyncClient, slot: Slot, png: bytes, settings: LeonardoSettings) -> None:
    """Put a picture where Leonardo.ai wants it.

    Raises `Lost` or `NotArrived` for what may go better next time, `UpstreamError` for an address that is refused.
    """
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            url = httpx.URL(slot.url)
            address = await _vetted(url, settings.private_hosts)
            answer = await http.post(
                url.copy_with(host=address),
                data=slot.fields,
                files={"file": ("picture.png", png, "image/png")},
                headers={"Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},
            )
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotArrived(f"the store for pictures cannot be reached: {type(error).__name__}") from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise Lost(f"the picture could not be sent: {type(error).__name__}") from error
    if not answer.is_success:
        raise Lost(f"the store for pictures answered HTTP {answer.status_code}")


async def _download(http: httpx.AsyncClient, url: str, settings: LeonardoSettings) -> bytes:
    target = httpx.URL(url)
    for _ in range(_MAX_REDIRECTS + 1):
        address = await _vetted(target, settings.private_hosts)
        # To the very address that was looked at: a second look-up might answer another one. The certificate is the
        # host's still (https://www.python-httpx.org/advanced/extensions/#sni_hostname).
        async with http.stream(
            "GET",
            target.copy_with(host=address),
            headers={"Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        ) as answer:
            if answer.has_redirect_location:
                target = target.join(answer.headers["location"])
                continue
            if answer.status_code != 200:
                raise Lost(f"the picture's host answered HTTP {answer.status_code}")
            return await read_at_most(answer, settings.max_picture_bytes)
    raise _refused("it leads on and on")


async def _vetted(url: httpx.URL, private_hosts: tuple[str, ...]) -> str:
    """The address to connect to. Raises `UpstreamError` for one that a picture has no business at."""
    trusted = url.host in private_hosts
    if url.scheme != "https" and not (url.scheme == "http" and trusted):
        raise _refused("it is not https")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotArrived(f"the picture's host is unknown: {type(error).__name__}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not (trusted or all(_is_public(ip_address(each.partition("%")[0])) for each in addresses)):
        raise _refused("it points into a private network")
    return addresses[0]


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is anybody's, also where it wraps another one."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _as_png(content: bytes) -> tuple[bytes, int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is tighter
            with Image.open(BytesIO(content), formats=["JPEG", "PNG", "WEBP"]) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise Lost(f"the picture has more than {MAX_PIXELS} pixels")
                pixels = np.array(_opaque(picture), dtype=np.uint8)
    except Lost:
        raise
    except Exception as error:  # Pillow raises whatever a damaged file makes it meet
        raise Lost("the picture is damaged") from error
    return encode_png(pixels), pixels.shape[1], pixels.shape[0]


def _opaque(picture: Image.Image) -> Image.Image:
    """In RGB, on white where it may be seen through."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _refused(why: str) -> UpstreamError:
    return UpstreamError(
        "Leonardo.ai named an address for the picture that is not fetched",
        api_error=f"the picture's address was refused: {why}",
        suggestion="Look at the picture at leonardo.ai; a gateway's host belongs into private_hosts",
    )
