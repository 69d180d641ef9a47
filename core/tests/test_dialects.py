"""Which requests are a dialect's own, and what it may open."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount
from visioncraft import Dialect
from visioncraft.api.dialects import Dialects


def scope_of(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}


@pytest.fixture
def dialects() -> Dialects:
    """One with a route under a prefix and a mount, which opens a part of both, and what is not its own."""
    router, app = APIRouter(prefix="/spoken"), FastAPI(openapi_url=None)
    router.add_api_route("/draw", lambda: None)
    mount = Mount("/page", FastAPI(openapi_url=None))
    app.include_router(router)
    known = Dialects()
    opened = ["/spoken/help", "/page/", "/gallery", "/images/"]
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
