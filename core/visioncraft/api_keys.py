"""Cloud services' keys: a given one, the environment, then `api_keys.json`; shown by their last four, never logged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from visioncraft.environment import DOCUMENTED_KEY, SECRETS, SHAPE
from visioncraft.errors import ConfigurationError, InvalidRequest, StorageError
from visioncraft.files import read_json_object, write_private


@dataclass(frozen=True, slots=True)
class KeyService:
    """A cloud service whose key is kept here: what `visioncraft api-key` and `POST /api-key` know it by.

    Args:
        id: The service's name in requests and in `api_keys.json`.
        variable: The environment variable that holds the key; None where there is none. It ends in `_KEY`, `_TOKEN` or
            `_SECRET`, and does not begin with `VISIONCRAFT_`. The server takes it out of its environment; of all
            workers only those of the plugin that declares it see it.
        name: The service's name for people; the id where it is left out.

    Raises:
        ValueError: The variable has another name.
    """

    id: str
    variable: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.variable is not None and not SHAPE.fullmatch(self.variable):
            raise ValueError(
                f"the environment variable {self.variable!r} of key service {self.id!r} has to end in _KEY, _TOKEN or "
                "_SECRET, in capitals, and must not begin with VISIONCRAFT_"
            )

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.id


DOCUMENTED = KeyService("leonardo-api", DOCUMENTED_KEY, "Leonardo.ai")
"""The service that the API's contract names. Its key can be kept before the plugin that needs it is installed, and a
plugin made for plugin API 1.0 finds it by its variable."""

KEY_PATTERN = r"[\x21-\x7e]{8,512}"
"""What a key looks like, as a regular expression."""

_KEY = re.compile(KEY_PATTERN)
_SHOWN = 4


class ApiKeys:
    """The keys in one file of mode 0600.

    Args:
        path: The JSON file, an object of service to key; it need not exist.
        services: The services that have a variable or may be given a key, beside the one that the contract names.
    """

    def __init__(self, path: Path, services: Iterable[KeyService] = ()) -> None:
        self.path = path
        self.services = {service.id: service for service in (DOCUMENTED, *services)}

    def get(self, service: str, explicit: str | None = None) -> str | None:
        """The key to use: the one given here before the environment's before the file's. None when there is none."""
        return explicit or self.from_environment(service) or self._read().get(service)

    def set(self, service: str, key: str) -> str:
        """Keep a key durably and answer its preview. Raises `InvalidRequest` and changes nothing if it is none."""
        self.check(service, key)
        self._write({**self._read(), service: key})
        return preview(key)

    def from_environment(self, service: str) -> str | None:
        """The key that the service's environment variable holds."""
        known = self.services.get(service)
        return SECRETS.get(known.variable) if known and known.variable else None

    def known(self, service: str) -> KeyService:
        """The service of this id. Raises `InvalidRequest` where there is none."""
        if service not in self.services:
            issue = f"one of: {', '.join(sorted(self.services))}"
            raise InvalidRequest(f"Unknown service '{service}'", field="service", issue=issue)
        return self.services[service]

    def check(self, service: str, key: str) -> None:
        """Raise `InvalidRequest` for an unknown service, and for what cannot be a key."""
        self.known(service)
        if not _KEY.fullmatch(key):
            raise InvalidRequest.of("api_key", "8 to 512 visible ASCII characters without spaces")

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
            write_private(self.path, json.dumps(keys, indent=2).encode())
        except OSError as error:
            raise StorageError(f"{self.path}: the key could not be kept: {error.strerror}") from error


def preview(key: str) -> str:
    """A key as it may be shown: twelve stars and its last four characters."""
    return "*" * 12 + key[-_SHOWN:]
