"""How commands speak to a running server: its address, its token, and its errors in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from visioncraft.runtime.running import server_of

if TYPE_CHECKING:
    from visioncraft.errors import VisionCraftError
    from visioncraft.settings import Settings

_TROUBLE = {"missing": "asks for a token", "wrong": "has another token"}
_ASK_S = 120.0  # a busy machine decodes what is sent before it answers


class Client:
    """A running server.

    Args:
        settings: They have the token that it wants. The server is the one that has their data folder, else the one at
            their address.
        url: Where it is instead.
    """

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        found = url or server_of(settings.data_path) or url_for(settings.server.host.strip("[]"), settings.server.port)
        self.url = found.rstrip("/")
        self._headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}

    @classmethod
    def of_running(cls, settings: Settings) -> Self | None:
        """The server that has these settings' data folder; None where none runs."""
        url = server_of(settings.data_path)
        return cls(settings, url) if url else None

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request; answers its JSON. Raises the server's own error, or `ServiceUnavailable` where there is none."""
        return json.loads(self.fetch(path, method, **options))

    def fetch(self, path: str, method: str = "GET", **options: Any) -> bytes:
        """One request; answers its body. Raises as `ask` does."""
        import httpx

        try:
            answer = httpx.request(method, self.url + path, headers=self._headers, timeout=_ASK_S, **options)
            refused = answer.json() if answer.is_error else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._unreachable(error) from error
        if refused is not None:
            raise self._refusal(refused)
        return answer.content

    def events_of(self, job: str) -> Iterator[dict[str, Any]]:
        """What happens to one job until its end, from where it stands. Raises as `ask` does."""
        import httpx
        from httpx_sse import connect_sse

        path = f"/jobs/{job}/events"
        try:
            with (
                httpx.Client(headers=self._headers, timeout=httpx.Timeout(30, read=None)) as client,
                connect_sse(client, "GET", self.url + path) as source,
            ):
                if source.response.is_error:
                    raise self._refusal(json.loads(source.response.read()))
                # The comment that keeps a quiet stream open comes out of httpx-sse as an event without data.
                yield from (event.json() for event in source.iter_sse() if event.data)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._unreachable(error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """What happens to every job, from where those stand that wait or run, until the server ends."""
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        address = self.url.replace("http", "ws", 1) + "/ws"
        try:
            with connect(address, additional_headers=self._headers, max_size=None) as socket:
                yield from (json.loads(message) for message in socket)
        except ConnectionClosed:
            return
        except InvalidStatus as error:
            raise self._refusal(_parsed(error.response.body)) from error
        except (OSError, WebSocketException) as error:
            raise self._unreachable(error) from error

    def _refusal(self, document: Any) -> Exception:
        """What the server said against a request. Of its token it says what to do here."""
        from visioncraft.errors import AuthenticationError

        error = _as_said(document)
        trouble = _TROUBLE.get(str(error.details.get("token")))
        if trouble is None:
            return error
        return AuthenticationError(
            f"The server at {self.url} {trouble}: set VISIONCRAFT_TOKEN to the one that it was started with, or "
            "VISIONCRAFT_TOKEN_FILE to its file"
        )

    def _unreachable(self, error: Exception) -> Exception:
        from visioncraft.errors import ServiceUnavailable

        said = " ".join(str(error).split())
        return ServiceUnavailable(f"No VisionCraft server answers at {self.url} ({said}); start it: visioncraft serve")


def url_for(host: str, port: int) -> str:
    """The URL of a server on this machine, as a browser can open it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _parsed(body: bytes | bytearray | None) -> Any:
    try:
        return json.loads(body or b"")
    except ValueError:
        return None


def _as_said(document: Any) -> VisionCraftError:
    """The server's refusal. A field at fault is named as the error of the same request drawn here would name it."""
    from visioncraft.errors import InvalidRequest, VisionCraftError

    error = document.get("error", {}) if isinstance(document, dict) else {}
    message, details = str(error.get("message", "the server refused")), error.get("details", {})
    if error.get("code") == InvalidRequest.code and {"field", "issue"} <= details.keys():
        return InvalidRequest(message, field=str(details["field"]), issue=str(details["issue"]))
    if "available_models" in error:
        details = {**details, "available_models": error["available_models"]}
    return VisionCraftError(message, **details)
