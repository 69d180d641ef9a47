"""Five hundred texts that try to lead out of a folder, in every encoding that servers have fallen for."""

from __future__ import annotations

from itertools import product
from urllib.parse import quote

TARGETS = ("etc/passwd", "canary.txt", "api_keys.json", "index.sqlite3", "settings.toml")
UPS = (
    "../",
    "..\\",
    "....//",
    "..;/",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%2f",
    "..%5c",
    "%252e%252e%252f",
    "..%c0%af",
    "..%u2215",
    "．．/",
)
DEVICES = (
    "CON",
    "NUL",
    "AUX",
    "COM1",
    "LPT1",
    "PRN",
    "con.png",
    "NUL.txt",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/environ",
)
ENDS = ("", "%00.png", "\0", ".png", "::$DATA", "/.", "%0a")
SCHEMES = (
    "file:///",
    "//",
    "\\\\?\\",
    "\\\\host\\share\\",
    "C:\\",
    "C:/",
    "~root/",
    "$HOME/",
    "/proc/self/root/",
    "./",
)
ID = "img_01kb0v7m3qj4x5n6p7r8s9t0ab"


def traversals() -> list[str]:
    """The texts, each once; those with `%` are encoded already."""
    found = [up * depth + target + end for up, depth, target, end in product(UPS, (1, 3, 8), TARGETS, ENDS[:2])]
    found += [device + end for device, end in product(DEVICES, ENDS)]
    found += [scheme + target for scheme, target in product(SCHEMES, TARGETS)]
    found += [ID + up + target for up, target in product(UPS[:4], TARGETS)]
    found += [ID + end for end in ENDS[1:]] + [
        ID.upper(),
        ID[:-1],
        ID + "b",
        f" {ID}",
        f"{ID} ",
        "",
        ".",
        "..",
        "*",
        "-rf",
    ]
    return list(dict.fromkeys(found))


def targets() -> list[str]:
    """As they go into a request's line: raw bytes that no HTTP message can hold are encoded."""
    return [quote(text, safe="/\\%.:;~$*?-") for text in traversals()]
