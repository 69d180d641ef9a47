"""A page with static files at `/frame/`: its shell is open, what it shows of the gallery needs the token."""

from collections.abc import Sequence
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.routing import Mount
from visioncraft import Dialect, hookimpl

STATIC = Path(__file__).with_name("static")


@hookimpl
def visioncraft_routers() -> Sequence[Dialect]:
    """The files, readable by everybody: nothing of the user's is in them."""
    page = Mount("/frame", StaticFiles(directory=STATIC, html=True), name="frame")
    return [Dialect(mounts=[page], open_paths=["/frame", "/frame/"])]
