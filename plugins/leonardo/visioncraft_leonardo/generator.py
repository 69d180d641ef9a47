"""The generator: Leonardo.ai as one model among others. It waits for the network only, so it runs in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from pydantic import SecretStr
from visioncraft import (
    ApiKeys,
    ConfigurationError,
    GeneratedImage,
    GenerationRequest,
    Generator,
    InvalidRequest,
    Limits,
    ModelInfo,
    Progress,
    Settings,
)

from visioncraft_leonardo.catalogue import MODELS, CloudModel, catalogue, find_model
from visioncraft_leonardo.settings import SERVICE, LeonardoSettings

if TYPE_CHECKING:
    from visioncraft_leonardo.client import Client
    from visioncraft_leonardo.ledger import Ledger
    from visioncraft_leonardo.pace import Pace

LIMITS = Limits(
    steps=(10, 60), guidance_scale=(1.0, 20.0), size_multiple=8, min_resolution=(32, 32), max_resolution=(1536, 1536)
)


class LeonardoGenerator(Generator):
    """Leonardo.ai.

    Args:
        settings: Of the house: where keys and data are.
        table: The plugin's own.
        api_key: Used before the environment's and the file's.
    """

    name: ClassVar[str] = "leonardo"

    def __init__(self, settings: Settings, table: LeonardoSettings, api_key: SecretStr | None = None) -> None:
        self.concurrency = table.concurrency
        self._settings = settings
        self._table = table
        self._key = api_key
        self._pace: Pace | None = None

    def models(self) -> Sequence[ModelInfo]:
        """One model, `leonardo-api`, also without a key or a network: its catalogue says what can be asked of it."""
        return [
            ModelInfo(
                id="leonardo-api",
                name="Leonardo.ai API",
                engine=self.name,
                kind="cloud",
                quality="Professional",
                description="Leonardo.ai's models, paid for by the picture",
                limits=LIMITS,
                catalogue=catalogue(self._remembered()),
                abilities=frozenset({"init_image"}),
                needs=self._needed(),
            )
        ]

    def _needed(self) -> str:
        """What has to be done before it draws; empty where there is a key."""
        try:
            key = self._key or ApiKeys(self._settings.keys_path, [SERVICE]).get(SERVICE.id)
        except ConfigurationError as damaged:
            return damaged.message
        return "" if key else "an API key, by: visioncraft api-key leonardo-api"

    async def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """Draw one picture, or go on with one that was ordered before a crash. Raises what the contract names."""
        from visioncraft_leonardo.account import ledger_of, needed_key
        from visioncraft_leonardo.client import Client
        from visioncraft_leonardo.job import LeonardoJob
        from visioncraft_leonardo.pace import Pace

        named = request if request.job_id else replace(request, job_id=uuid4().hex)
        key = await asyncio.to_thread(needed_key, self._settings, self._key)
        ledger = await asyncio.to_thread(ledger_of, self._settings)
        self._pace = self._pace or Pace(self._table)
        async with Client(self._table, key, self._pace) as client:
            job = LeonardoJob(client, ledger, self._pace, named, progress)
            return await job.run(lambda: self._model(request.leonardo_model, client, ledger))

    async def _model(self, name: str, client: Client, ledger: Ledger) -> CloudModel:
        """The model a request means; one that nobody here knows is looked for among those of the key."""
        from visioncraft_leonardo.account import further_models, remembered_models
        from visioncraft_leonardo.errors import TransientError, to_api_error

        known = await asyncio.to_thread(remembered_models, ledger)
        found = find_model(name, known)
        if found is None:
            try:
                known = await further_models(client, ledger)
            except TransientError as error:
                raise to_api_error(error) from None
            found = find_model(name, known)
        if found is None:
            slugs = [model.slug for model in (*MODELS, *known)]
            near = get_close_matches(name, slugs, n=1)
            issue = f"did you mean '{near[0]}'?" if near else "GET /models lists them"
            raise InvalidRequest.of("leonardo_model", issue)
        return found

    def _remembered(self) -> list[CloudModel]:
        file = self._settings.data_path / "leonardo.sqlite3"
        if not file.is_file():  # a list of models makes no file
            return []
        from visioncraft_leonardo.account import ledger_of, remembered_models

        return remembered_models(ledger_of(self._settings))
