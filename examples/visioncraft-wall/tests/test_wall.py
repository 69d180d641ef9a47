"""Wall, behind the API."""

from collections.abc import Callable
from typing import Any

from visioncraft_wall import plugin


def test_the_page_is_served_and_described(visioncraft_client: Callable[..., Any]) -> None:
    client = visioncraft_client(plugin, "wall")
    page = client.get("/wall")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "<title>Wall</title>" in page.text
    assert "/wall" in client.get("/openapi.json").json()["paths"]
