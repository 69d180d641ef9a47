"""The protocol's own client against the running server, in both generations: with a session, and without one."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, TypeVar

import anyio
import httpx
import httpx2
import pytest
from dialect_kit import TOKEN, full_queue, jobs_of, png
from harness import Server
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent
from PIL import Image
from visioncraft import read_record

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 15}
T = TypeVar("T")
generations = pytest.mark.parametrize("generation", ["legacy", "2026-07-28"])


@asynccontextmanager
async def connected(server: Server, generation: str = "auto", token: str = TOKEN) -> AsyncIterator[Client]:
    """The client, with the token as people give it."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=generation) as client,
    ):
        yield client


def with_client(server: Server, act: Callable[[Client], Awaitable[T]], generation: str = "auto") -> T:
    async def run() -> T:
        async with connected(server, generation) as client:
            return await act(client)

    return asyncio.run(run())


def called(server: Server, tool: str, arguments: dict[str, Any], generation: str = "auto") -> CallToolResult:
    return with_client(server, lambda client: client.call_tool(tool, arguments), generation)


def words(answer: CallToolResult) -> str:
    return "\n".join(each.text for each in answer.content if isinstance(each, TextContent))


def images(answer: CallToolResult) -> list[Image.Image]:
    found = [each for each in answer.content if isinstance(each, ImageContent)]
    return [Image.open(BytesIO(base64.b64decode(each.data))) for each in found]


@generations
def test_an_image_comes_with_its_progress_its_link_and_its_facts(server: Server, generation: str) -> None:
    told: list[tuple[float, float | None]] = []

    async def draw(client: Client) -> CallToolResult:
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, total))

        arguments = {"prompt": "red apple", "seed": 7, **SMALL}
        return await client.call_tool("generate_image", arguments, progress_callback=tell)

    answer = with_client(server, draw, generation)
    facts = answer.structured_content
    assert not answer.is_error
    assert (facts["seed"], facts["width"], images(answer)[0].size) == (7, 64, (64, 64))
    assert told and told[-1][1] == 15
    (link,) = [each for each in answer.content if isinstance(each, ResourceLink)]
    assert link.uri == facts["url"] and link.uri.startswith(server.url)
    record = read_record(httpx.get(link.uri).content)  # without the token: the link is signed
    assert record is not None and record.id == facts["id"] and record.facts["dialect"] == "mcp"


def test_tools_say_what_they_change(server: Server) -> None:
    tools = {each.name: each for each in with_client(server, lambda client: client.list_tools()).tools}
    reading = {name for name, each in tools.items() if each.annotations and each.annotations.read_only_hint}
    assert reading == {"get_job", "list_models", "search_gallery", "get_image"}
    assert set(tools) - reading == {"generate_image", "edit_image", "cancel_job"}
    assert all(each.description and each.title for each in tools.values())


@generations
def test_an_image_is_edited_and_found_again(server: Server, generation: str) -> None:
    sent = base64.b64encode(png("blue", 128, 64)).decode()
    first = called(server, "edit_image", {"image": sent, "prompt": "a blue door"}, generation).structured_content
    again = called(server, "edit_image", {"image": first["id"], "prompt": "a closed door", "strength": 0.5}, generation)
    assert images(again)[0].size == (128, 64)
    found = called(server, "search_gallery", {"q": "closed door", "limit": 1}, generation)
    assert [each["prompt"] for each in found.structured_content["images"]] == ["a closed door"]
    shown = called(server, "get_image", {"image_id": again.structured_content["id"]}, generation)
    assert shown.structured_content["parameters"]["strength"] == 0.5
    assert images(shown)[0].size == (128, 64)


def test_models_are_told_with_what_each_can_do(server: Server) -> None:
    told = called(server, "list_models", {}).structured_content
    assert told["default"] == "fake"
    edits = {each["id"]: each["edits"] for each in told["models"]}
    assert edits["fake"] and not edits["fake-few-steps"]


def test_a_large_image_is_shown_small_enough_for_an_answer(server: Server) -> None:
    answer = called(server, "generate_image", {"prompt": "noise large", "width": 1024, "height": 1024})
    (shown,) = images(answer)
    (content,) = [each for each in answer.content if isinstance(each, ImageContent)]
    assert shown.width * shown.height <= 1024 * 1024
    assert len(base64.b64decode(content.data)) <= 700_000
    assert answer.structured_content["width"] == 1024


@generations
@pytest.mark.parametrize(
    ("tool", "arguments", "step"),
    [
        ("generate_image", {"prompt": "red apple", "width": 99}, "nearest is 96. Call the tool again"),
        ("generate_image", {"prompt": "red apple", "model": "nothing"}, "list_models tells all of them: fake"),
        ("generate_image", {"prompt": "red apple", "steps": "many"}, "steps"),
        ("generate_image", {"prompt": ""}, "prompt"),
        ("edit_image", {"image": "nothing", "prompt": "red apple"}, "Invalid init_image"),
        ("get_image", {"image_id": "../../etc/passwd"}, "search_gallery finds the ids"),
        ("get_image", {"image_id": "img_01kb0v7m3qj4x5n6p7r8s9t0ab"}, "search_gallery finds the ids"),
        ("get_job", {"job_id": "job_nothing"}, "generate_image answers those of jobs"),
        ("search_gallery", {"cursor": "nothing"}, "cursor"),
        ("generate_image", {"prompt": "fail: crash", **SMALL}, "tell the user what this message says"),
    ],
)
def test_an_error_is_an_answer_that_names_the_next_step(
    server: Server, generation: str, tool: str, arguments: dict[str, Any], step: str
) -> None:
    answer = called(server, tool, arguments, generation)
    assert answer.is_error
    assert step in words(answer)
    assert "hunter2" not in words(answer)


@generations
def test_a_call_that_is_cancelled_cancels_its_job(server: Server, generation: str) -> None:
    gate = f"mcp-left-{generation}"

    async def leave(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "generate_image", {"prompt": f"gated {gate}", **SMALL})
            await asyncio.to_thread(server.permit, gate, 1)
            await asyncio.to_thread(server.reached, gate, 1)
            group.cancel_scope.cancel()

    with_client(server, leave, generation)
    server.permit(gate, 100)
    assert server.ended(jobs_of(server, f"gated {gate}")[0])["status"] == "cancelled"


def test_a_client_that_hangs_up_cancels_its_job_with_a_session_too(server: Server) -> None:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    begun = server.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}, headers=headers)
    headers["Mcp-Session-Id"] = begun.headers["mcp-session-id"]
    server.post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    asked = {"name": "generate_image", "arguments": {"prompt": "gated mcp-gone", **SMALL}}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": asked}
    with httpx.stream("POST", f"{server.url}/mcp", json=call, headers={**headers, "x-api-key": TOKEN}, timeout=60):
        server.permit("mcp-gone", 1)
        server.reached("mcp-gone", 1)
    server.permit("mcp-gone", 100)
    assert server.ended(jobs_of(server, "gated mcp-gone")[0])["status"] == "cancelled"


@generations
def test_a_long_job_is_come_back_to(server: Server, generation: str) -> None:
    gate = f"mcp-long-{generation}"

    async def come_back(client: Client) -> tuple[CallToolResult, CallToolResult, CallToolResult]:
        begun = await client.call_tool("generate_image", {"prompt": f"gated {gate}", "wait_s": 0, **SMALL})
        job = {"job_id": begun.structured_content["job_id"]}
        looked = await client.call_tool("get_job", {**job, "wait_s": 0})
        await asyncio.to_thread(server.permit, gate, 100)
        return begun, looked, await client.call_tool("get_job", job)

    begun, looked, drawn = with_client(server, come_back, generation)
    assert begun.structured_content["status"] in ("queued", "running")
    assert "Call get_job with job_id job_" in words(looked)
    assert images(drawn)[0].size == (64, 64)


def test_a_long_job_is_cancelled_by_its_id(server: Server) -> None:
    async def cancel(client: Client) -> tuple[CallToolResult, CallToolResult]:
        begun = await client.call_tool("generate_image", {"prompt": "gated mcp-stop", "wait_s": 0, **SMALL})
        job = {"job_id": begun.structured_content["job_id"]}
        cancelled = await client.call_tool("cancel_job", job)
        await asyncio.to_thread(server.permit, "mcp-stop", 100)
        return cancelled, await client.call_tool("get_job", job)

    cancelled, looked = with_client(server, cancel)
    assert not cancelled.is_error
    assert looked.is_error and "generate_image begins anew" in words(looked)


@generations
def test_a_retry_with_the_same_key_draws_nothing_more(server: Server, generation: str) -> None:
    arguments = {"prompt": f"noise {generation}", "key": f"mcp-once-{generation}", **SMALL}
    first, second = (called(server, "generate_image", arguments, generation).structured_content for _ in range(2))
    assert first["id"] == second["id"]
    assert len(jobs_of(server, f"noise {generation}")) == 1


@generations
def test_a_full_queue_says_when_to_come_back(server: Server, generation: str) -> None:
    with full_queue(server, f"mcp-full-{generation}"):
        answer = called(server, "generate_image", {"prompt": "red apple"}, generation)
    assert answer.is_error
    assert "The queue is full" in words(answer) and "Call the tool again in " in words(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Authorization": "Bearer wrong"}, 401), ({"Authorization": ""}, 401), ({"Host": "evil.example"}, 403)],
)
def test_the_servers_own_guards_stand_before_it(server: Server, headers: dict[str, str], status: int) -> None:
    answer = server.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)
    assert answer.status_code == status
    assert answer.json()["jsonrpc"] == "2.0" and answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"jsonrpc": "2.0", "id": 1, "method": 5}', b"[" * 5000])
def test_a_body_that_is_none_is_the_clients_error(server: Server, body: bytes) -> None:
    for version in ("2025-06-18", "2026-07-28"):
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": version,
        }
        answer = server.client.post("/mcp", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
