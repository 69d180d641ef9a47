"""Secrets that come as environment variables: read once, then readable there by nobody else."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

DOCUMENTED_KEY = "LEONARDO_API_KEY"
"""The variable that the API's contract names for the key of `leonardo-api`."""

SHAPE = re.compile(r"(?!VISIONCRAFT_)[A-Z][A-Z0-9_]*_(KEY|TOKEN|SECRET)")
"""What a plugin may call the variable of a key, so that processes can do without it before the plugin has named it."""

_PR_SET_DUMPABLE = 4  # prctl(2), Linux


class Secrets:
    """The secrets of this process's environment. There is one object of it, `SECRETS`, as there is one environment."""

    def __init__(self) -> None:
        self._names = {"VISIONCRAFT_TOKEN", DOCUMENTED_KEY}
        self._owners: Mapping[str, str] = {}
        self._hidden: dict[str, str] = {}
        self._hides = False

    def get(self, name: str) -> str | None:
        """What a variable was set to; None where it is absent or empty."""
        return os.environ.get(name) or self._hidden.get(name)

    def declare(self, owners: Mapping[str, str]) -> None:
        """Take further variables for secrets, from now on.

        Args:
            owners: The plugin of each variable that plugins have declared; it replaces what was said before. A name
                that was a secret stays one.
        """
        self._owners = dict(owners)
        self._names |= owners.keys()
        if self._hides:
            self._take_out()

    def hide(self) -> None:
        """Take the secrets out of the environment, also out of the memory that `/proc/<pid>/environ` shows.

        Those that are declared later are taken out when they are. Processes that are started from then on do not
        inherit them, and on Linux only root may look into this one.
        """
        self._hides = True
        self._take_out()

    def environment_for(self, plugin: str) -> dict[str, str]:
        """What a process of a plugin may see of the environment: no secret but those that the plugin declared."""
        seen = {name: value for name, value in os.environ.items() if name not in self._names}
        own = {name: self.get(name) for name, owner in self._owners.items() if owner == plugin}
        return seen | {name: value for name, value in own.items() if value}

    def environment_for_trial(self) -> dict[str, str]:
        """What a process may see that runs a plugin's code while plugins may still declare secrets.

        Nothing whose name has the shape of a secret's is in it.
        """
        return {
            name: value for name, value in os.environ.items() if name not in self._names and not SHAPE.fullmatch(name)
        }

    def _take_out(self) -> None:
        found = self._names & os.environ.keys()
        for name in found:
            self._hidden[name] = os.environ[name]
            _overwrite(name)
            del os.environ[name]
        if found and sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def _overwrite(name: str) -> None:
    """Fill a variable's value with zeros where it lies: to unset it only takes it off the list."""
    import ctypes

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    address = getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(os.environb[os.fsencode(name)]))


SECRETS = Secrets()
