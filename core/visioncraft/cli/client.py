"""How commands speak to a running server: its address, its token, and its errors in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from visioncraft.cli.state import State


class Client:
    """A running server.

    Parameters
    ----------
    state: The command line's; its settings say where the server is and which token it wants.
    url: Where it is instead.
    """

    def __init__(self, state: State, url: str | None = None) -> None:
        settings = state.settings()
        self._url = (url or url_for(settings.server.host.strip("[]"), settings.server.port)).rstrip("/")
        self._headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request; answers its JSON. Raises the server's own error, or `ServiceUnavailable` where there is none."""
        import httpx

        try:
            answer = httpx.request(method, self._url + path, headers=self._headers, timeout=30, **options)
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise _as_said(document)
        return document

    def events_of(self, job: str) -> Iterator[dict[str, Any]]:
        """What happens to one job until its end, from where it stands. Raises as `ask` does."""
        import httpx
        from httpx_sse import connect_sse

        path = f"/jobs/{job}/events"
        try:
            with (
                httpx.Client(headers=self._headers, timeout=httpx.Timeout(30, read=None)) as client,
                connect_sse(client, "GET", self._url + path) as source,
            ):
                if source.response.is_error:
                    raise _as_said(json.loads(source.response.read()))
                yield from (event.json() for event in source.iter_sse())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._unreachable(error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """What happens to every job, from where those stand that wait or run, until the server ends."""
        from websockets.exceptions import ConnectionClosed, WebSocketException
        from websockets.sync.client import connect

        address = self._url.replace("http", "ws", 1) + "/ws"
        try:
            with connect(address, additional_headers=self._headers, max_size=None) as socket:
                yield from (json.loads(message) for message in socket)
        except ConnectionClosed:
            return
        except (OSError, WebSocketException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Exception:
        from visioncraft.errors import ServiceUnavailable

        said = " ".join(str(error).split())
        return ServiceUnavailable(f"No VisionCraft server answers at {self._url} ({said}); start it: visioncraft serve")


def url_for(host: str, port: int) -> str:
    """The URL of a server on this machine, as a browser can open it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _as_said(document: Any) -> Exception:
    from visioncraft.errors import VisionCraftError

    error = document.get("error", {}) if isinstance(document, dict) else {}
    return VisionCraftError(str(error.get("message", "the server refused")), **error.get("details", {}))
