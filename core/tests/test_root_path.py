"""`server.root_path`: a server under a path that its routes do not know."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from fastapi.testclient import TestClient


def test_a_server_under_a_path_answers_with_it_and_without_it(visioncraft_client: Callable[..., TestClient]) -> None:
    client = visioncraft_client(ModuleType("empty"), server={"root_path": "/studio"})
    for path in ("/", "/studio", "/studio/", "/health", "/studio/health"):
        assert client.get(path).status_code == 200, path
    assert client.get("/studio/openapi.json").json()["servers"] == [{"url": "/studio"}]
    page = client.get("/studio/docs")
    assert '"/studio/docs-assets/swagger-ui-bundle.js"' in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert client.get("/studio/docs-assets/swagger-ui.css").status_code == 200


def test_a_client_from_elsewhere_cannot_choose_its_path(visioncraft_client: Callable[..., TestClient]) -> None:
    client = visioncraft_client(ModuleType("empty"))
    assert "servers" not in client.get("/openapi.json", headers={"X-Forwarded-Prefix": "/studio"}).json()
