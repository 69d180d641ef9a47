"""What a plugin's routes reach of the server: its models, its jobs and its gallery.

Dialects of other programs, pages and bots are built on it. The API's own routes use the same object, so a request
means the same by whatever way it came: one job, with its place in the queue, its record and its replay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from visioncraft.errors import ServiceUnavailable, VisionCraftError
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.editing import ImageFacts
from visioncraft.types.jobs import JobEvent, JobView
from visioncraft.types.models import ModelInfo, StoredModel

if TYPE_CHECKING:
    from fastapi import APIRouter, Request, Response
    from starlette.requests import HTTPConnection
    from starlette.routing import Mount

    from visioncraft.types.identity import Identity


LIFETIME_S = 3600.0
"""How long a signed URL works unless a dialect says otherwise, in seconds: as long as OpenAI's."""


class Service(Protocol):
    """The server, as its own routes and those of plugins use it. All methods are called in the server's event loop."""

    @property
    def store(self) -> ImageStore:
        """The gallery that settings select."""

    def models(self) -> Sequence[ModelInfo]:
        """The models that can draw now."""

    async def look_for_models(self) -> Sequence[ModelInfo]:
        """The models that can draw now, those among them whose weights came since the server last looked."""

    async def parts(self) -> Sequence[StoredModel]:
        """What models draw with beside their own weights: LoRAs, ControlNets, upscalers and the like, as of now."""

    async def find_model(self, name: str | None) -> ModelInfo:
        """The model that a client means; None is the default one.

        Raises:
            ModelNotAvailable: There is none of that name, or it cannot draw.
        """

    async def submit(
        self,
        model: str | None,
        prompt: str,
        *,
        caller: str = "",
        key: str | None = None,
        priority: int = 0,
        warnings: Sequence[str] = (),
        dialect: str = "",
        **fields: Any,
    ) -> JobView:
        """Queue a job; when this returns it survives a crash.

        Args:
            model: Its id or another name of it; None is the default one.
            prompt: What to draw.
            caller: Who asks, as `caller_of(request)` says it; callers take turns.
            key: The same key gives the same job, however often it is sent.
            priority: Higher ones run first.
            warnings: What is to be told with the job, a sentence each.
            dialect: The dialect's name, which the image keeps as the fact `dialect`.
            fields: Further fields of `POST /generate`, and parameters that the model declares. Images are files' bytes,
                base64 or the id of one in the gallery; any may be a `visioncraft.FittedImage`, which says how it comes
                to its size, and a `mask` a `visioncraft.Mask`, which says how it is read. What is left out
                is the model's default.

        Raises:
            InvalidRequest: A field is wrong; it is named.
            ModelNotAvailable: No such model can draw.
            RateLimitExceeded: The queue is full.
            StorageError: Nothing can be kept now.
        """

    async def job(self, job_id: str) -> JobView:
        """Where a job stands. Raises `NotFound`."""

    def jobs(self, caller: str | None = None) -> Sequence[JobView]:
        """The jobs that run and those that wait, in the order in which they run; of one caller, or of all (None)."""

    def watch(self, job_id: str, after: str | None = None) -> AsyncIterator[JobEvent]:
        """What happens to a job until its end, beginning with where it stands.

        Args:
            job_id: The job.
            after: The id of the last event that the watcher saw; what it missed comes first where that is still known.
        """

    def watch_all(self) -> AsyncIterator[JobEvent]:
        """What happens to any job from now on, until the server ends: for what counts, reports or reacts.

        A watcher that falls a thousand events behind is let go: the iterator ends.
        """

    async def wait(self, job_id: str, request: Request | None = None) -> JobView:
        """Wait until a job has ended well.

        Args:
            job_id: The job.
            request: Whoever waits for it: hanging up cancels the job, unless it has a key to come back with.

        Raises:
            VisionCraftError: What the job ended with instead.
        """

    async def cancel(self, job_id: str, why: str = "") -> JobView:
        """Cancel a job: at once while it waits, within one step while it runs; an ended one stays as it is."""

    async def image(self, job_id: str, number: int = 0) -> bytes:
        """The PNG of one of a job's images, the same bytes as in the gallery.

        Raises:
            NotFound: There is no such image, or it was deleted since.
        """

    async def inspect(self, image: bytes | str, field: str = "image") -> ImageFacts:
        """How large an image is that a client sent, and what texts stand in its file. Not decoded in this process.

        Args:
            image: The file's bytes, base64, a `data:` URL, or the id of an image in the gallery.
            field: Where the client sent it, for errors.

        Raises:
            InvalidRequest: That is no image, or one that takes too much.
            RateLimitExceeded: Too many images wait for their turn.
        """

    def image_url(self, request: Request, image_id: str, lifetime_s: float = LIFETIME_S) -> str:
        """Where whoever asks can fetch an image of the gallery, with no header.

        Args:
            request: Who asks: the URL has the scheme, the host and the port of this request.
            image_id: The image.
            lifetime_s: How long the URL works, in seconds, where the server asks for a token or a key. It is signed
                then; whoever has it sees this one image.
        """

    async def status(self) -> Mapping[str, Any]:
        """What `GET /status` answers."""

    def caller_of(self, request: HTTPConnection) -> str:
        """Who asks, by a request or a WebSocket: an identity where the server knows one, else the address."""

    async def identify(self, headers: Mapping[str, str]) -> Identity | None:
        """Who a request with these headers is from, by the server's token and its access keys; None for nobody known.

        Where the server asks nobody, everybody is the same identity, without a name. The token has none either.

        Args:
            headers: Their names in lower case.
        """

    def secret(self, purpose: str) -> bytes:
        """A key to sign with, of 32 bytes, which each purpose has for itself.

        It comes from the server's token: servers with one token have the same, and with a new token it is another.
        Where there is no token it lasts as long as the process.
        """


Errors = Callable[["Request", VisionCraftError], "Response | Awaitable[Response]"]
"""Makes the answer that a dialect's clients expect of an error."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Routes that speak another protocol than the API's own, with that protocol's errors and bounds.

    Args:
        router: Its routes.
        errors: Makes the answer of an error, those of the server's guards too (401, 403, 413); None is the envelope of
            the API.
        mounts: Further ASGI applications, as static files.
        open_paths: Paths that answer without a token, as a page's shell: nothing of the user's may be in them. One that
            ends in `/` means everything below it; `OPTIONS /draw` opens a path to that method alone.
        request_size: The largest body in bytes; None is `server.max_body_bytes`.
        to_disk: Whether its routes write bodies to disk as they come: what does not wait in memory is not counted
            towards `server.body_memory_bytes`.
        port: Where these routes answer in place of the API's own port, for clients that expect theirs there: nothing
            else answers on it, the API's guards stand before it, and a port that is taken costs this dialect alone.
        scope: What its routes and mounts ask of whoever has an access key, where a route names no scope of its own with
            `needs`; None asks for `admin`.
        home: The page to which a browser is sent that asks for `/`; programs get the API's answer as ever. Of several
            dialects the first one that has a page is taken.
    """

    router: APIRouter | None = None
    errors: Errors | None = None
    mounts: Sequence[Mount] = ()
    open_paths: Sequence[str] = ()
    request_size: int | None = None
    to_disk: bool = False
    port: int | None = None
    scope: str | None = None
    home: str | None = None

    def __post_init__(self) -> None:
        """Refuse a path that would open more than it says, and a port that nobody could be told of."""
        if self.port is not None and not 1 <= self.port <= 65535:
            raise ValueError(f"port {self.port}: 1 to 65535; a dialect that is switched off is not handed over")
        for opened in self.open_paths:
            method, _, path = opened.rpartition(" ")
            if method not in ("", "GET", "HEAD", "OPTIONS") or opened.startswith(" "):
                raise ValueError(f"open path {opened!r}: only GET, HEAD and OPTIONS may be open")
            if not path.startswith("/") or path == "/" or ".." in path or "//" in path:
                raise ValueError(f"open path {path!r}: a path begins with one /, has no .. and is not / itself")


class NoService:
    """What hooks are handed where no server runs, as when a plugin is tried: it may be kept, not used."""

    def __getattr__(self, name: str) -> Any:
        """Refuse."""
        raise ServiceUnavailable(f"service.{name} is there while a server runs, and not while hooks are asked")
