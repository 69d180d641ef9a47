"""A page of the newest pictures, which a browser fills through the API."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from visioncraft import hookimpl

PAGE = """<!doctype html>
<title>Wall</title>
<body>
<script>
  fetch("/gallery?limit=50&image_data=false").then(answer => answer.json()).then(page => {
    for (const image of page.images) {
      const picture = document.createElement("img");
      picture.src = "/images/" + image.id + "/thumbnail";
      picture.alt = image.prompt;
      document.body.append(picture);
    }
  });
</script>
"""


def router() -> APIRouter:
    routes = APIRouter()

    @routes.get("/wall", response_class=HTMLResponse)
    def page() -> str:
        """The newest pictures."""
        return PAGE

    return routes


@hookimpl
def visioncraft_routers() -> Sequence[APIRouter]:
    return [router()]
