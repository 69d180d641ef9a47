"""What is known of the account: its credits and the models it may use, asked for now and then, remembered on disk."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import Any

from pydantic import SecretStr
from visioncraft import ApiKeys, AuthenticationError, BackendStatus, Settings

from visioncraft_leonardo.catalogue import CloudModel
from visioncraft_leonardo.client import Client
from visioncraft_leonardo.errors import KEY_HELP
from visioncraft_leonardo.ledger import Ledger, ledger_at
from visioncraft_leonardo.pace import Pace
from visioncraft_leonardo.settings import SERVICE, LeonardoSettings

log = logging.getLogger(__name__)

ACCOUNT_AGE_S = 60.0
MODELS_AGE_S = 86400.0
_PATIENCE_S = 1.5  # within plugins.status_timeout_s


def ledger_of(settings: Settings) -> Ledger:
    """The ledger of this house."""
    return ledger_at(settings.data_path.resolve() / "leonardo.sqlite3")


def key_of(settings: Settings, explicit: SecretStr | None = None) -> SecretStr | None:
    """The key to use: one given here before the environment's before the file's."""
    key = ApiKeys(settings.keys_path, [SERVICE]).get(SERVICE.id, explicit.get_secret_value() if explicit else None)
    return SecretStr(key) if key else None


def needed_key(settings: Settings, explicit: SecretStr | None = None) -> SecretStr:
    """The same. Raises `AuthenticationError` where there is none."""
    key = key_of(settings, explicit)
    if key is None:
        raise AuthenticationError(f"Leonardo.ai needs an API key; {KEY_HELP}")
    return key


async def check_key(settings: LeonardoSettings, key: str) -> None:
    """Ask `GET /me`. Raises `AuthenticationError` for a refused key, `TransientError` where nobody answers."""
    async with Client(settings, SecretStr(key), Pace(settings)) as client:
        await client.me()


async def account_status(settings: Settings, table: LeonardoSettings) -> BackendStatus:
    """The part of `/status`: credits and spending. Asks Leonardo.ai once a minute at most, and not for long."""
    key = await asyncio.to_thread(key_of, settings)
    if key is None:
        return BackendStatus("leonardo", facts={"key": "none"})
    ledger = await asyncio.to_thread(ledger_of, settings)
    tried, age = await asyncio.to_thread(ledger.noted, "tried")
    if tried is None or age > ACCOUNT_AGE_S:
        await asyncio.to_thread(ledger.note, "tried", True)
        try:
            async with asyncio.timeout(_PATIENCE_S), Client(table, key, Pace(table)) as client:
                await _refresh(client, ledger)
        except Exception as error:  # shown or not, the status is answered; its kind alone is sure to hold no secret
            log.info("Leonardo.ai was not asked for the account: %s", type(error).__name__)
    return BackendStatus("leonardo", facts=await asyncio.to_thread(_facts, ledger, table))


async def further_models(client: Client, ledger: Ledger) -> list[CloudModel]:
    """The models that the key may use, asked for anew and remembered."""
    models = await client.platform_models()
    await asyncio.to_thread(ledger.note, "models", [asdict(model) for model in models])
    return models


def remembered_models(ledger: Ledger) -> list[CloudModel]:
    """The same as they were when last asked for."""
    models, _ = ledger.noted("models")
    return [CloudModel(**each) for each in models or ()]


async def _refresh(client: Client, ledger: Ledger) -> None:
    account = await client.me()
    facts = {"credits": account.credits, "renewal": account.renewal}
    await asyncio.to_thread(ledger.note, "account", facts)
    _, age = await asyncio.to_thread(ledger.noted, "models")
    if age > MODELS_AGE_S:
        await further_models(client, ledger)


def _facts(ledger: Ledger, table: LeonardoSettings) -> dict[str, Any]:
    account, age = ledger.noted("account")
    facts: dict[str, Any] = {"key": "set", "spent_today": round(ledger.spent_today(), 6)}
    if table.daily_budget:
        facts["daily_budget"] = table.daily_budget
    if account is not None:
        facts |= {"credits": account["credits"], "credits_age_s": round(age)}
        if account["renewal"]:
            facts["credits_renewed"] = account["renewal"]
    return facts
