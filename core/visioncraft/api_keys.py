"""Cloud services' keys: a given one, the environment, then `api_keys.json`; shown by their last four, never logged."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import mkstemp

from visioncraft.environment import secret
from visioncraft.errors import ConfigurationError, InvalidRequest, StorageError
from visioncraft.files import read_json_object

SERVICES = {"leonardo-api": "LEONARDO_API_KEY"}
"""The services a key can be set for, and the environment variable of each."""

KEY_PATTERN = r"[\x21-\x7e]{8,512}"
"""What a key looks like, as a regular expression."""

_KEY = re.compile(KEY_PATTERN)
_SHOWN = 4


class ApiKeys:
    """The keys in one file of mode 0600.

    Parameters
    ----------
    path: The JSON file, an object of service to key; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, service: str, explicit: str | None = None) -> str | None:
        """The key to use: the one given here before the environment's before the file's. None when there is none."""
        return explicit or from_environment(service) or self._read().get(service)

    def set(self, service: str, key: str) -> str:
        """Keep a key durably and answer its preview. Raises `InvalidRequest` and changes nothing if it is none."""
        check_shape(service, key)
        self._write({**self._read(), service: key})
        return preview(key)

    def _read(self) -> dict[str, str]:
        try:
            keys = read_json_object(self.path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self.path}: cannot be read as JSON ({type(error).__name__}); mend or remove it"
            ) from None
        if wrong := [service for service, key in keys.items() if not isinstance(key, str)]:
            raise ConfigurationError(f"{self.path}: the key of '{wrong[0][:64]}' is no text; mend or remove it")
        return keys

    def _write(self, keys: dict[str, str]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = mkstemp(dir=self.path.parent, prefix=".api_keys-")  # mkstemp makes it 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(keys, file, indent=2)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StorageError(f"{self.path}: the key could not be kept: {error.strerror}") from error


def from_environment(service: str) -> str | None:
    """The key that the service's environment variable holds."""
    variable = SERVICES.get(service)
    return secret(variable) if variable else None


def check_shape(service: str, key: str) -> None:
    """Raises `InvalidRequest` for an unknown service, and for what cannot be a key."""
    if service not in SERVICES:
        raise InvalidRequest(
            f"Unknown service '{service}'", field="service", issue=f"one of: {', '.join(sorted(SERVICES))}"
        )
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            "Invalid api_key provided", field="api_key", issue="8 to 512 visible ASCII characters without spaces"
        )


def preview(key: str) -> str:
    """A key as it may be shown: twelve stars and its last four characters."""
    return "*" * 12 + key[-_SHOWN:]
