"""The pages in a real browser: they need no network but this server, and other sites' pages get nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from harness import Server
from playwright.sync_api import Browser, Page, Request

FETCH = "async url => { try { return (await fetch(url)).status } catch (error) { return String(error) } }"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A page that somebody else serves; answers its port."""
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><title>another page</title>", "utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_port
        site.shutdown()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_api_pages_render_without_any_other_host(fake: Server, page: Page, path: str) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.goto(fake.url + path)
    page.get_by_text("/generate").first.wait_for()
    page.wait_for_load_state("networkidle")
    sent = [request for request in asked if not blocked(request)]
    assert {urlsplit(request.url).hostname for request in sent} - {None} == {"127.0.0.1"}
    assert [request.url for request in sent if request.failure] == []


def blocked(request: Request) -> bool:
    """Whether the page's Content-Security-Policy kept the request from leaving the browser."""
    return (request.failure or "").upper() == "CSP"


def test_a_page_of_this_machine_may_ask_and_a_foreign_one_may_not(
    fake: Server, browser: Browser, other_site: int
) -> None:
    outcomes = {}
    for host in ("localhost", "evil.localhost"):  # the browser takes both to this machine
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://{host}:{other_site}/")
        outcomes[host] = page.evaluate(FETCH, f"{fake.url}/status")
        context.close()
    assert outcomes["localhost"] == 200
    assert "Failed to fetch" in str(outcomes["evil.localhost"])
