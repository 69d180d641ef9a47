"""Access keys: made for one person or program each, shown once, kept as a hash, and taken back at any time."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from visioncraft.access.scopes import checked_scopes
from visioncraft.credentials import credentials
from visioncraft.errors import ConfigurationError, StorageError
from visioncraft.files import read_bounded, write_private
from visioncraft.types.identity import Identity

log = logging.getLogger(__name__)

_SHAPE = re.compile(r"vc_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_NAME = re.compile(r"[\w.@ -]{1,64}")
_MOST_BYTES = 16 * 2**20


class AccessKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key, without what only its holder knows.

    Args:
        id: Eight letters and digits, which stand in the key itself.
        name: Whom or what it is for; no two keys, revoked ones too, have the same.
        digest: SHA-256 of the secret part in hexadecimal digits. The secret has 256 random bits, so nothing slower is
            needed to keep it from being guessed.
        scopes: What it is for.
        models: The only models that it may use; empty for all.
        created_at, expires_at, revoked_at: UTC; None for never.
        old_digest, old_until: The secret before the last rotation, and until when it counts beside the new one.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    created_at: datetime
    models: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    old_digest: str | None = None
    old_until: datetime | None = None

    def accepts(self, secret: str, now: datetime) -> bool:
        """Whether this is its secret, and it still counts."""
        given = _digest(secret)
        fits = hmac.compare_digest(given, self.digest)
        if self.old_digest is not None and self.old_until is not None and now < self.old_until:
            fits = hmac.compare_digest(given, self.old_digest) or fits
        return fits and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def identity(self) -> Identity:
        """Whom it stands for."""
        return Identity(self.name, frozenset(self.scopes), self.name, frozenset(self.models))


class AccessKeys:
    """The keys in one JSON file of mode 0600. A change of the file counts from the next request on.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: dict[str, AccessKey] = {}

    def any(self) -> bool:
        """Whether a key was ever made, so that nobody is let in without one: revoking the last opens no door."""
        return bool(self._current())

    def all(self) -> list[AccessKey]:
        """Every key, the oldest first, those that were revoked or have expired too."""
        return sorted(self._current().values(), key=lambda key: key.created_at)

    async def authenticate(self, headers: Mapping[str, str]) -> Identity | None:
        """Who that is; None for whoever shows no key of these."""
        for given in credentials(headers):
            if (found := self.find(given)) is not None:
                return found.identity
        return None

    def find(self, given: str) -> AccessKey | None:
        """The key that is given, if it counts."""
        shape = _SHAPE.fullmatch(given)
        key = self._current().get(shape[1]) if shape else None
        return key if key is not None and shape and key.accepts(shape[2], datetime.now(UTC)) else None

    def create(
        self, name: str, scopes: Iterable[str], models: Iterable[str] = (), expires_at: datetime | None = None
    ) -> tuple[AccessKey, str]:
        """Make a key; answers it and the text that its holder needs, which nobody can show again.

        Raises:
            ConfigurationError: The name is taken or none, or there is no such scope.
            StorageError: It cannot be kept.
        """
        if not _NAME.fullmatch(name) or name != name.strip():
            raise ConfigurationError(f"{name[:64]!r} is no name for a key: 1 to 64 letters, digits, spaces and . @ _ -")
        if any(key.name == name for key in self._current().values()):
            raise ConfigurationError(f"there is a key {name!r} already; visioncraft keys rotate gives it a new secret")
        secret, key_id = secrets.token_urlsafe(32), _new_id(self._current())
        kept = tuple(sorted(checked_scopes([*scopes])))
        key = AccessKey(key_id, name, _digest(secret), kept, datetime.now(UTC), tuple(sorted(models)), expires_at)
        self._keep(key)
        return key, f"vc_{key.id}_{secret}"

    def revoke(self, name: str) -> AccessKey:
        """Take a key back, at once and for good. Raises as `named`."""
        key = self.named(name)
        return self._keep(msgspec.structs.replace(key, revoked_at=key.revoked_at or datetime.now(UTC)))

    def rotate(self, name: str, overlap: timedelta) -> tuple[AccessKey, str]:
        """Give a key a new secret; answers it and its new text.

        Args:
            name: The key's name or id.
            overlap: How long the secret of before counts too.

        Raises:
            ConfigurationError: There is no such key, or it was revoked.
        """
        key, secret = self.named(name), secrets.token_urlsafe(32)
        if key.revoked_at is not None:
            raise ConfigurationError(f"the key {key.name!r} was revoked; make another: visioncraft keys create")
        until = datetime.now(UTC) + overlap
        changed = msgspec.structs.replace(key, digest=_digest(secret), old_digest=key.digest, old_until=until)
        return self._keep(changed), f"vc_{key.id}_{secret}"

    def named(self, name: str) -> AccessKey:
        """The key of this name or id. Raises `ConfigurationError` where there is none."""
        for key in self._current().values():
            if name in (key.name, key.id):
                return key
        raise ConfigurationError(f"there is no key {name[:64]!r}; visioncraft keys list shows them")

    def _keep(self, key: AccessKey) -> AccessKey:
        keys = [*({**self._current(), key.id: key}).values()]
        try:
            write_private(self.path, msgspec.json.format(msgspec.json.encode(keys)))
        except OSError as error:
            raise StorageError(f"{self.path}: the key could not be kept: {error.strerror}") from error
        return key

    def _current(self) -> dict[str, AccessKey]:
        """The keys as the file has them. One that cannot be read lets nobody in, and says so once."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen, self._keys = stamp, _read(self.path) if stamp else {}
        return self._keys

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be looked at: {error.strerror}") from error
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> dict[str, AccessKey]:
    try:
        found = msgspec.json.decode(read_bounded(path, _MOST_BYTES), type=list[AccessKey])
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigurationError(f"{path}: is no list of keys ({error}); restore or remove it") from error
    return {key.id: key for key in found}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_id(taken: Mapping[str, object]) -> str:
    while (made := "".join(secrets.choice(_ALPHABET) for _ in range(8))) in taken:
        pass
    return made
