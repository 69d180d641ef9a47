"""Everything that the routes need, put together while the server runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from starlette.requests import HTTPConnection
from visioncraft import Identity, InvalidRequest, NotFound, Service, Settings

from visioncraft_comfyui_api.asking import DIALECT, ask, classes_of
from visioncraft_comfyui_api.book import Book
from visioncraft_comfyui_api.following import Follower
from visioncraft_comfyui_api.graph.checking import Node, checked, nodes_of
from visioncraft_comfyui_api.graph.errors import GraphRefused, NodeRefused, failed
from visioncraft_comfyui_api.graph.lists import Lists
from visioncraft_comfyui_api.graph.recipe import Recipe, recipe_of
from visioncraft_comfyui_api.prompts import Prompt
from visioncraft_comfyui_api.settings import ComfyUISettings
from visioncraft_comfyui_api.sockets import Sockets
from visioncraft_comfyui_api.store import Store
from visioncraft_comfyui_api.uploads import Uploads

log = logging.getLogger(__name__)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECRETS = ("api_key_comfy_org", "auth_token_comfy_org")
_FIRST = 1  # the priority of a prompt that is to come first


class Desk:
    """Where prompts come in and are looked after.

    Args:
        settings: The server's.
        service: The server.
        own: The plugin's settings.
    """

    def __init__(self, settings: Settings, service: Service, own: ComfyUISettings) -> None:
        self.service, self.own = service, own
        self._settings = settings
        self.sockets = Sockets()
        self.book: Book
        self.uploads: Uploads
        self.follower: Follower
        self._store: Store

    async def open(self) -> None:
        """The server begins: take up the prompts that were left."""
        self._store = await asyncio.to_thread(self._opened)
        self.book = Book(self._store, self.own.history, self._settings.jobs.keep_ended_s)
        self.follower = Follower(self.service, self.book, self.sockets)
        for prompt in self.book.unfinished():
            self.follower.begin(prompt)

    async def close(self) -> None:
        """The server ends."""
        await self.follower.end()
        self._store.close()

    def _opened(self) -> Store:
        folder = self._settings.data_path / "comfyui_api"
        try:
            store = Store(folder)
        except (OSError, sqlite3.Error) as error:
            log.error("%s takes no file: %s; ComfyUI's prompts are forgotten when the server ends", folder, error)
            store = Store(None)
        self.uploads = Uploads(folder, store, self.own.uploads_mb, self.service)
        return store

    def owner_of(self, connection: HTTPConnection) -> str:
        """Whose prompts and uploads those of a request are; empty where the server knows nobody by a key."""
        identity = _identity(connection)
        return identity.whose if identity is not None else ""

    async def lists(self, owner: str) -> Lists:
        """What somebody's graph may name now."""
        models = await self.service.look_for_models()
        return Lists(models, await self.service.parts(), await asyncio.to_thread(self.uploads.names, owner))

    async def submit(self, connection: HTTPConnection, body: Mapping[str, Any]) -> Prompt:
        """Queue what a client sent to `/prompt`. Raises `GraphRefused`, and what the server refuses it with."""
        prompt_id = _prompt_id(body.get("prompt_id"))
        graph = body.get("prompt")
        if graph is None:
            raise GraphRefused("no_prompt", "No prompt provided", "No prompt provided")
        document, digest = await asyncio.to_thread(_written, body)
        owner = self.owner_of(connection)
        if prompt_id is not None and (known := self.book.get(prompt_id)) is not None:
            return _same(known, owner, digest)
        nodes, recipe = await self._read(graph, body.get("partial_execution_targets"), await self.lists(owner))
        return await self._queue(connection, body, nodes, recipe, prompt_id, digest, document)

    async def _read(self, graph: object, targets: object, lists: Lists) -> tuple[dict[str, Node], Recipe]:
        """The nodes of a graph, and what they stand for. A large one is read aside."""
        wanted = [str(each) for each in targets] if isinstance(targets, list) else None

        def read() -> tuple[dict[str, Node], Recipe]:
            nodes = nodes_of(graph)
            return nodes, recipe_of(checked(nodes, lists, wanted))

        return await asyncio.to_thread(read)

    async def _queue(
        self,
        connection: HTTPConnection,
        body: Mapping[str, Any],
        nodes: Mapping[str, Node],
        recipe: Recipe,
        prompt_id: str | None,
        digest: str,
        document: str,
    ) -> Prompt:
        owner, caller, first = self.owner_of(connection), self.service.caller_of(connection), bool(body.get("front"))
        key = f"{DIALECT}:{owner}:{prompt_id}" if prompt_id else None
        classes = {node.id: node.class_name for node in nodes.values()}
        try:
            priority = _FIRST if first else 0
            images = partial(self.uploads.find, owner=owner)
            job = await ask(self.service, images, recipe, caller=caller, key=key, priority=priority)
        except NodeRefused as error:
            raise failed([error.problem()], classes) from error
        if prompt_id is not None and (known := self.book.get(prompt_id)) is not None:  # sent twice at the same time
            return _same(known, owner, digest)
        number = self.book.next_number()
        prompt = Prompt(
            id=prompt_id or str(uuid.uuid4()),
            number=-number if first else number,
            owner=owner,
            caller=caller,
            client_id=str(body.get("client_id") or ""),
            job_id=job.id,
            digest=digest,
            classes=classes_of(recipe, classes),
            prefixes=recipe.prefixes,
            sampler=recipe.sampler,
        )
        await self.book.add(prompt, document)
        self.follower.tell_status()
        self.follower.begin(prompt)
        return prompt

    def may_see(self, connection: HTTPConnection, prompt: Prompt) -> bool:
        """Whether whoever asks may see and stop a prompt: its owner, and whoever may see everybody's jobs."""
        identity = _identity(connection)
        return identity is None or identity.sees_all or prompt.owner == identity.whose

    def seen_by(self, connection: HTTPConnection, prompts: Iterable[Prompt]) -> list[Prompt]:
        """Those of these prompts that whoever asks may see."""
        return [each for each in prompts if self.may_see(connection, each)]

    def find(self, connection: HTTPConnection, prompt_id: object) -> Prompt | None:
        """A prompt that whoever asks may see."""
        prompt = self.book.get(str(prompt_id))
        return prompt if prompt is not None and self.may_see(connection, prompt) else None

    def own_of(self, connection: HTTPConnection, client_id: object = None) -> list[Prompt]:
        """The unfinished prompts of whoever asks, or of one of its clients: what it may mean without naming any."""
        owner, caller = self.owner_of(connection), self.service.caller_of(connection)
        own = [each for each in self.book.unfinished() if (each.owner, each.caller) == (owner, caller)]
        return [each for each in own if client_id is None or each.client_id == client_id]

    async def cancel(self, prompt: Prompt | None, why: str) -> bool:
        """Cancel a prompt that has not ended; whether it was."""
        if prompt is None or prompt.over:
            return False
        try:
            await self.service.cancel(prompt.job_id, why)
        except NotFound:
            return False
        return True


def _identity(connection: HTTPConnection) -> Identity | None:
    """Who the server's guard says that is."""
    found = getattr(connection.state, "identity", None)
    return found if isinstance(found, Identity) else None


def _prompt_id(given: object) -> str | None:
    """The id that a client has chosen. Raises `GraphRefused` for what is no UUID in its canonical form."""
    if given is None:
        return None
    if not isinstance(given, str) or not _UUID.fullmatch(given):
        raise GraphRefused("invalid_prompt_id", "prompt_id must be a UUID in canonical form", str(given)[:100])
    return given


def _same(known: Prompt, owner: str, digest: str) -> Prompt:
    """The prompt of an id that was sent before: the same graph again is the same prompt, and is drawn once."""
    if known.owner == owner and known.digest == digest:
        return known
    raise GraphRefused("invalid_prompt_id", "prompt_id was used for another prompt; take a new one for each", known.id)


def _written(body: Mapping[str, Any]) -> tuple[str, str]:
    """What history tells of a prompt, without keys of other services, and the digest of its graph."""
    extra = body.get("extra_data")
    kept = {name: value for name, value in extra.items() if name not in _SECRETS} if isinstance(extra, dict) else {}
    if body.get("client_id"):
        kept["client_id"] = str(body["client_id"])
    try:
        document = json.dumps({"prompt": body["prompt"], "extra_data": kept})
        graph = json.dumps(body["prompt"], sort_keys=True)
    except (ValueError, RecursionError):
        raise InvalidRequest.of("prompt", "plain JSON, not nested too deeply") from None
    return document, hashlib.sha256(graph.encode("utf-8", "replace")).hexdigest()
