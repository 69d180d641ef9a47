"""Leonardo.ai's REST API v1 through httpx: one method a route, every answer judged by `trouble.problem_of`.

https://docs.leonardo.ai/reference. Redirects are not followed: neither the key nor an order may be
sent on.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from visioncraft_leonardo.catalogue import CloudModel
from visioncraft_leonardo.errors import Lost, NotArrived, problem_of
from visioncraft_leonardo.pace import Pace
from visioncraft_leonardo.settings import LeonardoSettings

MAX_ANSWER_BYTES = 8 * 2**20
PAGE = 50
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A generation that was made.

    Args:
        id: Its UUID.
        cost: What it costs, in `unit`; None where the answer does not say.
        unit: `CREDITS` or `DOLLARS`.
    """

    id: str
    cost: float | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a picture to start from is sent.

    Args:
        id: What an order names.
        url: Takes the picture, without the key.
        fields: What the form needs beside it.
    """

    id: str
    url: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key it is.

    Args:
        user_id: A UUID.
        credits: Paid and subscribed API tokens that are left.
        renewal: When the plan's tokens are renewed, as Leonardo.ai writes it.
        clock_ahead_s: By how much Leonardo.ai's clock is ahead of ours.
    """

    user_id: str
    credits: int
    renewal: str | None
    clock_ahead_s: float


class Client:
    """A connection for one job, to be used as an async context manager.

    Its methods raise `TransientError` for what may pass, and a `VisionCraftError` for what will not.

    Args:
        settings: The address and the bounds.
        key: Sent to `base_url` and nowhere else.
        pace: Shared with the other jobs.
    """

    def __init__(self, settings: LeonardoSettings, key: SecretStr, pace: Pace) -> None:
        self.settings = settings
        self._key = key
        self._pace = pace
        self.http = httpx.AsyncClient(verify=_tls(), timeout=settings.request_timeout_s, follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def order(self, payload: dict[str, Any]) -> Ordered:
        """`POST /generations`, once."""
        document, _ = await self._ask("POST", "/generations", payload)
        return _ordered(document)

    async def generation(self, generation_id: str) -> dict[str, Any] | None:
        """`GET /generations/{id}`; None where there is no such one."""
        document, _ = await self._ask("GET", f"/generations/{generation_id}")
        found = document.get("generations_by_pk")
        if found is not None and not (isinstance(found, dict) and isinstance(found.get("status"), str)):
            raise Lost("a generation without a status")
        return found

    async def delete(self, generation_id: str) -> None:
        """`DELETE /generations/{id}`; one that is gone is no trouble."""
        await self._ask("DELETE", f"/generations/{generation_id}")

    async def generations(self, user_id: str, offset: int) -> list[dict[str, Any]]:
        """A page of the user's generations, newest first."""
        document, _ = await self._ask("GET", f"/generations/user/{user_id}?offset={offset}&limit={PAGE}")
        return _objects(document, "generations")

    async def init_image(self) -> Slot:
        """`POST /init-image`: where a picture to start from goes."""
        document, _ = await self._ask("POST", "/init-image", {"extension": "png"})
        return _slot(document)

    async def me(self) -> Account:
        """`GET /me`."""
        document, ahead = await self._ask("GET", "/me")
        details = _objects(document, "user_details")
        user = details[0].get("user") if details else None
        if not isinstance(user, dict) or not is_uuid(user.get("id")):
            raise Lost("GET /me names no user")
        left = sum(int(details[0].get(name) or 0) for name in ("apiPaidTokens", "apiSubscriptionTokens"))
        renewal = details[0].get("apiPlanTokenRenewalDate")
        return Account(user["id"], left, str(renewal) if renewal else None, ahead)

    async def platform_models(self) -> list[CloudModel]:
        """`GET /platformModels`."""
        document, _ = await self._ask("GET", "/platformModels")
        return [
            CloudModel(str(each["id"]), str(each["name"]), str(each.get("description") or ""))
            for each in _objects(document, "custom_models")
            if each.get("id") and each.get("name")
        ]

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[dict[str, Any], float]:
        """The answer's document, and by how many seconds the other clock is ahead."""
        await self._pace.requests.acquire()
        with self._pace.breaker:
            status, headers, content = await self._exchange(method, path, body)
            document = _parsed(content)
            problem = problem_of(status, document, headers, self._key.get_secret_value())
            if problem is not None:
                raise problem
        return document, _ahead(headers.get("date"))

    async def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, httpx.Headers, bytes]:
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "Accept": "application/json"}
        url = self.settings.base_url.rstrip("/") + path
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):  # httpx's own bound is for each piece
                async with self.http.stream(method, url, json=body, headers=headers) as answer:
                    return answer.status_code, answer.headers, await read_at_most(answer, MAX_ANSWER_BYTES)
        except _NOT_SENT as error:
            raise NotArrived(f"no connection: {type(error).__name__}") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Lost(f"the answer was lost: {type(error).__name__}") from error


async def read_at_most(answer: httpx.Response, limit: int) -> bytes:
    """The body of a streamed answer. Raises `Lost` past `limit` bytes."""
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > limit:
            raise Lost(f"the answer is longer than {limit} bytes")
    return bytes(content)


def is_uuid(text: object) -> bool:
    """Whether an id from outside may become part of an address."""
    return isinstance(text, str) and re.fullmatch(r"[0-9A-Za-z-]{8,64}", text) is not None


@cache
def _tls() -> ssl.SSLContext:
    # Loading the certificates takes tens of milliseconds: once, not for each job.
    return httpx.create_ssl_context()


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name)
    if not isinstance(found, list):
        raise Lost(f"the answer has no list '{name}'")
    return [each for each in found if isinstance(each, dict)]


def _ordered(document: dict[str, Any]) -> Ordered:
    job = document.get("sdGenerationJob")
    if not isinstance(job, dict) or not is_uuid(job.get("generationId")):
        raise Lost("the answer names no generation")
    cost = job.get("cost")
    said: dict[str, Any] = cost if isinstance(cost, dict) else {"amount": job.get("apiCreditCost"), "unit": "CREDITS"}
    try:
        return Ordered(job["generationId"], float(said["amount"]), str(said.get("unit")))
    except (KeyError, TypeError, ValueError):
        return Ordered(job["generationId"], None, None)


def _slot(document: dict[str, Any]) -> Slot:
    said = document.get("uploadInitImage")
    said = said if isinstance(said, dict) else {}
    fields = _parsed(str(said.get("fields")).encode())  # JSON inside a string of JSON
    if not is_uuid(said.get("id")) or not isinstance(said.get("url"), str) or not isinstance(fields, dict):
        raise Lost("the answer names no place for a picture")
    return Slot(said["id"], said["url"], {str(name): str(value) for name, value in fields.items()})


def _ahead(date: str | None) -> float:
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds() if date else 0.0
    except (ValueError, TypeError):
        return 0.0
