"""URLs that open one image for a limited time."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from visioncraft.api.signed_links import SignedLinks
from visioncraft.token import Token

PATH = "/images/img_01hzy7c3v8q2w4e6r8t0y2u4i6"


def guarded() -> bool:
    return True


def scope(path: str, query: str = "", method: str = "GET") -> dict[str, Any]:
    headers = [(b"host", b"studio.example:8000")]
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }


def query_of(links: SignedLinks, lifetime_s: float = 60.0) -> str:
    return links.url(Request(scope("/")), PATH, lifetime_s).partition("?")[2]


@pytest.mark.parametrize("token", ["the token", None])
def test_a_signature_opens_its_path_until_its_time_is_over(token: str | None) -> None:
    links = SignedLinks(Token(token, None), guarded)
    assert links.opens(scope(PATH, query_of(links)))
    assert not links.opens(scope(PATH, query_of(links, -1.0)))
    assert not links.opens(scope(PATH, query_of(links), "DELETE"))
    assert not links.opens(scope("/status", query_of(links)))


def test_a_new_token_makes_earlier_signatures_worthless() -> None:
    old, new = SignedLinks(Token("the token", None), guarded), SignedLinks(Token("another token", None), guarded)
    assert not new.opens(scope(PATH, query_of(old)))
    assert SignedLinks(Token("the token", None), guarded).opens(scope(PATH, query_of(old)))


def test_a_url_from_a_dialects_own_port_leads_to_the_api() -> None:
    links = SignedLinks(Token("the token", None), guarded)
    asked = Request({**scope("/"), "headers": [(b"host", b"studio.example:8188")]})
    url = links.from_elsewhere(8000).url(asked, PATH, 60.0)
    assert url.startswith(f"http://studio.example:8000{PATH}?")
    assert links.opens(scope(PATH, url.partition("?")[2]))
    assert links.from_elsewhere(0).url(asked, PATH, 60.0).startswith(f"http://studio.example:8188{PATH}?")


def test_where_everybody_may_look_a_url_is_plain() -> None:
    links = SignedLinks(Token(None, None), lambda: False)
    assert links.url(Request(scope("/")), PATH, 60.0) == f"http://studio.example:8000{PATH}"


@pytest.mark.parametrize("query", ["", "exp=&sig=", "exp=²&sig=x", f"exp={'9' * 400}&sig=x", "exp=1e99&sig=x", "sig=x"])
def test_what_is_no_signature_opens_nothing(query: str) -> None:
    assert not SignedLinks(Token("the token", None), guarded).opens(scope(PATH, query))
