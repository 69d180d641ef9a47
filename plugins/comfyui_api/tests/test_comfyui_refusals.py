"""What is let in and what is refused, before anything is queued."""

from __future__ import annotations

import httpx
import pytest
from comfy_prompts import refused
from dialect_kit import full_queue, jobs_of
from fastapi import Request
from graphs import node, text_to_image
from harness import Server
from visioncraft.errors import Overloaded
from visioncraft.testing import PATIENCE_S
from visioncraft_comfyui_api import errors


def test_every_route_is_under_api_too(comfy: httpx.Client) -> None:
    for path in ("/prompt", "/queue", "/history", "/object_info/KSampler", "/system_stats", "/models", "/features"):
        assert comfy.get(f"/api{path}").status_code == 200, path
        assert comfy.get(path).status_code == 200, path


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_json_is_read_whatever_its_content_type_says(comfy: httpx.Client, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for path in ("/queue", "/interrupt", "/free", "/history"):
        answer = comfy.post(path, content=b'{"delete": []}', headers=headers)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert comfy.post("/interrupt").status_code == 200
    assert comfy.post("/prompt", content=b"{}", headers=headers).json()["error"]["type"] == "no_prompt"


_DEEP = b'{"prompt": ' + b"[" * 980 + b"]" * 980 + b"}"


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000, b"[" * 2**21, _DEEP])
def test_what_is_no_graph_in_json_is_refused(comfy: httpx.Client, content: bytes) -> None:
    answer = comfy.post("/prompt", content=content)
    assert answer.status_code == 400 and set(answer.json()) == {"error", "node_errors"}


def test_an_unknown_node_is_refused_before_anything_is_queued(comfy: httpx.Client, server: Server) -> None:
    graph = text_to_image("never drawn")
    graph["10"] = node("IPAdapter", "My adapter", model=["4", 0])
    told = refused(comfy, graph)
    assert told["error"]["type"] == "invalid_prompt"
    assert "IPAdapter" in told["error"]["message"] and "#10" in told["error"]["details"]
    assert told["error"]["extra_info"] == {"node_id": "10", "class_type": "IPAdapter", "node_title": "My adapter"}
    assert told["node_errors"]["10"]["class_type"] == "IPAdapter"
    assert jobs_of(server, "never drawn") == []


def test_a_wrong_value_is_named_with_its_node_and_class(comfy: httpx.Client) -> None:
    told = refused(comfy, text_to_image(sampler_name="quantum"))
    assert told["error"]["type"] == "prompt_outputs_failed_validation"
    assert "KSampler 3" in told["error"]["details"]
    entry = told["node_errors"]["3"]
    assert (entry["class_type"], entry["dependent_outputs"]) == ("KSampler", ["9"])
    assert entry["errors"][0]["type"] == "value_not_in_list"
    assert entry["errors"][0]["extra_info"]["received_value"] == "quantum"


def test_what_the_model_does_not_take_is_named_with_its_node(comfy: httpx.Client) -> None:
    told = refused(comfy, text_to_image(steps=999))
    (error,) = told["node_errors"]["3"]["errors"]
    assert error["details"].startswith("steps - 15 to 50")


def test_a_full_queue_is_told_with_when_to_come_back(comfy: httpx.Client, server: Server) -> None:
    with full_queue(server, "comfy"):
        answer = comfy.post("/prompt", json={"prompt": text_to_image("one too many")})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_exceeded"
    assert jobs_of(server, "one too many") == []


def test_whoever_comes_to_a_full_server_is_told_when_to_come_back() -> None:
    answer = errors.answer(Request({"type": "http"}), Overloaded("Too many clients", retry_after=1.5))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_the_token_is_asked_for(comfy: httpx.Client) -> None:
    for path in ("/prompt", "/queue", "/view?filename=a.png", "/object_info"):
        answer = httpx.get(comfy.base_url.join(path), headers={"Authorization": "Bearer"}, timeout=PATIENCE_S)
        assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"
