"""The page's files: html, scripts, styles and messages, readable by everybody: nothing of the user's is in them."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).with_name("static")

VIEWS = frozenset({".", "watch", "gallery", "manage"})
"""Paths below `/app/` that are views of the one page."""

_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


class Shell(StaticFiles):
    """Serves the files, with a policy that lets scripts of this server alone run."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._policy = policy((STATIC / "index.html").read_text("utf-8"))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; every view is the same one. Browsers ask each time whether it has changed."""
        answer = await super().get_response("index.html" if path in VIEWS else path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer


def policy(page: str) -> str:
    """The Content-Security-Policy for a page.

    Browsers take an import map from inside the page only, not from a file, so it is allowed by its hash.

    Args:
        page: The HTML, with its import map.
    """
    found = _IMPORT_MAP.search(page)
    if found is None:
        raise ValueError("the page has no import map")
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types lit-html",
        )
    )


def shell() -> Mount:
    """The files at `/app/`, compressed on their way."""
    return Mount("/app", GZipMiddleware(Shell(), minimum_size=600), name="page")
