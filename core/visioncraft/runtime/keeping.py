"""Keys of cloud services, which their services are asked about before they are kept."""

from __future__ import annotations

import asyncio
import logging

from visioncraft.api_keys import ApiKeys
from visioncraft.errors import AuthenticationError
from visioncraft.plugins.guard import Aside
from visioncraft.plugins.manager import PluginManager

log = logging.getLogger(__name__)


async def keep_key(plugins: PluginManager, keys: ApiKeys, service: str, key: str) -> tuple[str, bool]:
    """Keep a key unless its service refuses it; answers its preview, and whether the service was there to be asked.

    Raises `AuthenticationError` for a refused key and `InvalidRequest` for what cannot be one; then nothing changes.
    """
    keys.check(service, key)
    accepted = await _accepted(plugins, service, key)
    return await asyncio.to_thread(keys.set, service, key), accepted


async def _accepted(plugins: PluginManager, service: str, key: str) -> bool:
    asked = await Aside().ask(service, lambda: plugins.key_services.check_of(service))
    if asked is None:
        return False
    info, check = asked
    try:
        await asyncio.wait_for(check.ask(key), plugins.settings.plugins.hook_timeout_s)
    except AuthenticationError:
        raise
    except Exception as error:  # what went wrong stays unsaid: only its kind is sure to hold no secret
        log.warning("%s could not be asked whether the key is good; it is kept, and the first picture tells", service)
        log.debug("%s raised %s", info.origin, type(error).__name__)
        return False
    return True
