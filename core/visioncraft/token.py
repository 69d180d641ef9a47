"""The server's token: where it comes from, what it may look like, and a file of it that changes."""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
from pathlib import Path

from visioncraft.environment import SECRETS
from visioncraft.errors import ConfigurationError

log = logging.getLogger(__name__)

VARIABLE = "VISIONCRAFT_TOKEN"
FILE_VARIABLE = "VISIONCRAFT_TOKEN_FILE"

_SHAPE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{6,510})[\x21-\x7e]")
"""Visible ASCII: what every client sends in a header as the same bytes."""


def token_file() -> Path | None:
    """The file that `VISIONCRAFT_TOKEN_FILE` names. Raises `ConfigurationError` where the token is given twice."""
    named = os.environ.get(FILE_VARIABLE)
    if named and SECRETS.get(VARIABLE):
        raise ConfigurationError(f"{VARIABLE} and {FILE_VARIABLE} are both set; unset one of them")
    return Path(named).absolute() if named else None


def find_token() -> str | None:
    """The token of `VISIONCRAFT_TOKEN` or of the file that `VISIONCRAFT_TOKEN_FILE` names; None where there is none.

    Raises `ConfigurationError` for a file that cannot be read, and for what cannot be a token.
    """
    file = token_file()
    if file is not None:
        return _read(file)
    given = SECRETS.get(VARIABLE)
    return _checked(given, VARIABLE) if given else None


def _read(file: Path) -> str:
    try:
        return _checked(file.read_text("utf-8-sig").strip(), f"{FILE_VARIABLE} ({file})")
    except OSError as error:
        raise ConfigurationError(f"{FILE_VARIABLE}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        return _checked("", f"{FILE_VARIABLE} ({file})")


def _checked(token: str, source: str) -> str:
    if not _SHAPE.fullmatch(token):
        raise ConfigurationError(
            f"{source}: a token is 8 to 512 letters, digits and signs of ASCII, with no space at its ends; "
            "make one: openssl rand -hex 16"
        )
    return token


class Token:
    """The token that the server asks for now.

    Args:
        token: The one that it was started with; None where it asks for none.
        file: Where that came from, if it was a file. A change of it counts from the next request on; while it is gone
            or holds no token, the one from before stays.
    """

    def __init__(self, token: str | None, file: Path | None) -> None:
        self._token = token
        self._file = file
        self._seen = self._stamp()
        self._own_key = secrets.token_bytes(32)

    def current(self) -> str | None:
        """The token to ask for."""
        if self._file is not None and self._stamp() != self._seen:
            self.read_again()
        return self._token

    def secret(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose: of the token, or, where there is none, of this process."""
        token = self.current()
        return hmac.digest(token.encode() if token else self._own_key, f"visioncraft {purpose}".encode(), "sha256")

    def read_again(self) -> None:
        """Take over what the file says now. A token that came as a variable stays for as long as the server runs."""
        if self._file is None:
            log.info("SIGHUP: %s is not set, so there is nothing to read again", FILE_VARIABLE)
            return
        self._seen = self._stamp()
        try:
            self._token = _read(self._file)
        except ConfigurationError as error:
            log.error("%s; the token from before stays", error.message)
        else:
            log.info("the token was read again from %s", self._file)

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) if found else None
