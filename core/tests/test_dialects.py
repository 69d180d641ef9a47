"""Which requests are a dialect's own, and what it may open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from visioncraft import Dialect, Identity, VisionCraftError, identity_of_request, needs, status_of
from visioncraft.api import errors
from visioncraft.api.bodies import BodyGuard, BodyMemory
from visioncraft.api.dialects import Dialects
from visioncraft.api.needs import ask_for_scope, scoped


def scope_of(path: str, method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


@pytest.fixture
def dialects() -> Dialects:
    """One with a route under a prefix and a mount, which opens a part of both, and what is not its own."""
    router, app = APIRouter(prefix="/spoken"), FastAPI(openapi_url=None)
    router.add_api_route("/draw", lambda: None)
    mount = Mount("/page", FastAPI(openapi_url=None))
    app.include_router(router)
    known = Dialects()
    opened = ["/spoken/help", "OPTIONS /spoken/draw", "/page/", "/gallery", "/images/"]
    known.add(Dialect(router, mounts=[mount], open_paths=opened, request_size=10), [*app.routes, mount])
    return known


@pytest.mark.parametrize(
    ("path", "own", "opened"),
    [
        ("/spoken/draw", True, False),
        ("/spoken/nowhere", True, False),
        ("/spoken/help", True, True),
        ("/page/index.html", True, True),
        ("/spokenly", False, False),
        ("/gallery", False, False),
        ("/images/img_1", False, False),
    ],
)
def test_a_dialect_opens_paths_of_its_own_and_none_of_others(
    dialects: Dialects, path: str, own: bool, opened: bool
) -> None:
    scope = scope_of(path)
    assert dialects.request_size(scope) == (10 if own else None)
    assert dialects.is_opened(scope) is opened


@pytest.mark.parametrize("path", ["", "/", "page", "//page", "/page/../gallery"])
def test_a_path_that_would_open_more_than_it_says_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="open path"):
        Dialect(open_paths=[path])


def test_a_path_may_be_open_to_one_method_alone(dialects: Dialects) -> None:
    assert dialects.is_opened(scope_of("/spoken/draw", "OPTIONS"))
    assert not dialects.is_opened(scope_of("/spoken/draw", "POST"))


@pytest.mark.parametrize("path", ["POST /draw", "options /draw", " /draw"])
def test_a_method_that_changes_something_is_never_open(path: str) -> None:
    with pytest.raises(ValueError, match="open path"):
        Dialect(open_paths=[path])


def test_a_dialect_is_told_of_a_method_that_its_route_does_not_take_and_the_answer_allows_those_that_it_does() -> None:
    def told(_request: Request, error: VisionCraftError) -> Response:
        return Response(error.code, status_of(error))

    router, app, known = APIRouter(), FastAPI(openapi_url=None), Dialects()
    router.add_api_route("/draw", lambda: None, methods=["POST"])
    app.include_router(router)
    known.add(Dialect(router, errors=told), app.routes)
    errors.install(app, known.errors_or)
    answer = TestClient(app).get("/draw")
    assert (answer.status_code, answer.text, answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")


@pytest.mark.parametrize(("to_disk", "status"), [(True, 200), (False, 503)])
def test_a_body_that_a_dialect_writes_to_disk_may_be_larger_than_what_all_may_take_in_memory(
    to_disk: bool, status: int
) -> None:
    async def keep(request: Request) -> None:
        async for _piece in request.stream():
            pass

    router, app, known = APIRouter(), FastAPI(openapi_url=None), Dialects()
    router.add_api_route("/files", keep, methods=["POST"])
    app.include_router(router)
    known.add(Dialect(router, request_size=2**20, to_disk=to_disk), app.routes)
    errors.install(app, known.errors_or)
    guarded = BodyGuard(app, 2**17, BodyMemory(2**17), known.request_size, known.is_kept_on_disk)
    assert asyncio.run(_status_of_pieces(guarded, "/files", count=8, size=2**16)) == status


async def _status_of_pieces(app: BodyGuard, path: str, count: int, size: int) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return (await client.post(path, content=pieces())).status_code


@pytest.fixture
def scoped_client() -> TestClient:
    """An application with a plugin's routes of every kind: its own, those of a router in it, Starlette's, a mount."""
    router, inner = APIRouter(), APIRouter()

    @router.get("/own")
    @inner.get("/deep")
    def answer() -> str:
        return "seen"

    @inner.get("/said", dependencies=[needs("gallery:read")])
    def said() -> str:
        return "seen"

    def plain(_: Request) -> Response:
        return PlainTextResponse("seen")

    router.routes.append(Route("/plain", plain))
    router.include_router(inner)
    router.include_router(inner, prefix="/again")
    dialect = Dialect(router, scope="generate")
    app = FastAPI()
    errors.install(app, lambda handler: handler)
    ask_for_scope(router, dialect)
    app.include_router(router)
    app.router.routes.append(scoped(Mount("/mounted", routes=[Route("/", plain)]), dialect))
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/own", "generate"),
        ("/deep", "generate"),
        ("/again/deep", "generate"),
        ("/plain", "generate"),
        ("/mounted/", "generate"),
        ("/said", "gallery:read"),
        ("/again/said", "gallery:read"),
    ],
)
def test_every_kind_of_route_asks_for_a_scope(scoped_client: TestClient, path: str, scope: str) -> None:
    seen = {}
    for held in ("generate", "gallery:read", "admin"):
        known = identity_of_request.set(Identity("ada", frozenset({held})))
        try:
            seen[held] = scoped_client.get(path).status_code
        finally:
            identity_of_request.reset(known)
    assert seen == {held: 200 if held in (scope, "admin") else 403 for held in seen}
    assert scoped_client.get(path).status_code == 200, "where nobody is told apart, nothing is asked"
