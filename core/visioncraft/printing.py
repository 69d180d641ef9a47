"""Foreign text made fit for a terminal, a log and one line of either."""

from __future__ import annotations

import re

_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, C0 and C1: line ends, escape sequences
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of writing (Unicode TR 9, 2)
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff\ufeff]"  # halves of surrogate pairs, and the byte order mark, which nobody sees
)


_FOLDERS = re.compile(
    r"(?<![\w.:/~-])(?<!GET )(?<!POST )(?<!PATCH )(?<!DELETE )"  # routes and addresses are no folders
    r"/(?:[^/\s:,;'\"()]+/)+"
)


def whole_text(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which no encoding knows and libraries raise on.

    .. versionadded:: 1.1
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def without_folders(text: str) -> str:
    """The text with files by their own names alone: where they lie on this machine is not for its clients to know."""
    return _FOLDERS.sub("", text)


def visible(text: str, keep: str = "") -> str:
    r"""The text with what forges lines, steers a terminal or turns the direction of writing as `\n`, `\x1b`, `\u202e`.

    Args:
        text: A prompt, a file's name, a header: whatever somebody else wrote.
        keep: Characters that stay as they are, such as the line ends of a text that has several lines.
    """
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
