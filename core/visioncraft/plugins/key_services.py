"""Which cloud services plugins need keys of, and how to ask those whether a key is good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from visioncraft.api_keys import DOCUMENTED, KeyService
from visioncraft.environment import SECRETS
from visioncraft.plugins.claims import Claims, every
from visioncraft.plugins.contracts import KeyCheck

if TYPE_CHECKING:
    from visioncraft.plugins.info import PluginInfo
    from visioncraft.plugins.manager import PluginManager

HOOK = "visioncraft_key_services"


class KeyServices:
    """The services of one manager's plugins.

    Args:
        manager: Asks its plugins.
    """

    def __init__(self, manager: PluginManager) -> None:
        self._manager = manager
        self._services = Claims[KeyService]("key service", lambda service: service.id)
        self._variables = Claims[KeyService]("environment variable", lambda service: str(service.variable))
        self._checks = Claims[KeyCheck]("key check", lambda check: check.service)
        self._owners: dict[str, PluginInfo] = {}

    def declare(self) -> dict[str, KeyService]:
        """The services that plugins declare, by id. Their variables are secrets from now on.

        A variable belongs to one plugin: two that name the same one are told so, as with any name.
        """
        settled = self._services.settle(every(self._manager.collect(HOOK)))
        self._owners = {key: info for key, (info, _) in settled.items()}
        named = [(info, service) for info, service in settled.values() if service.variable]
        owned = self._variables.settle(named)
        SECRETS.declare({variable: info.name for variable, (info, _) in owned.items()})
        return {key: service for key, (_, service) in settled.items() if _has(owned, service)}

    def known(self) -> list[KeyService]:
        """Every service whose key may be kept: the declared ones, and those that a plugin of 1.0 only checks."""
        declared = self.declare()
        checked = {service: KeyService(service) for service in self._settled_checks() if service != DOCUMENTED.id}
        return list((checked | declared).values())

    def check_of(self, service: str) -> tuple[PluginInfo, KeyCheck] | None:
        """How to ask a service whether a key is good, and whose plugin says so; None where nobody can."""
        return self._settled_checks().get(service)

    def _settled_checks(self) -> Mapping[str, tuple[PluginInfo, KeyCheck]]:
        """Each service's one check. A key is shown to nobody but the plugin that declares its service."""
        offered = every(self._manager.collect("visioncraft_key_checks"))
        return self._checks.settle(
            (info, check) for info, check in offered if self._owners.get(check.service, info) is info
        )


def _has(owned: Mapping[str, tuple[PluginInfo, KeyService]], service: KeyService) -> bool:
    """Whether the variable that a service names is its own, or it names none."""
    return service.variable is None or owned[service.variable][1] is service
