"""OpenAI's own Python client in an event loop: whoever gives up hangs up, and the queue is free again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness import Server
from openai import AsyncOpenAI

Draw = Callable[[AsyncOpenAI, str], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", **options) as client:
        yield client


async def generate(client: AsyncOpenAI, prompt: str) -> None:
    await client.images.generate(prompt=prompt, size="64x64")


async def watch(client: AsyncOpenAI, prompt: str) -> None:
    async for _ in await client.images.generate(prompt=prompt, size="64x64", stream=True, partial_images=1):
        pass


def in_thread(function: Callable[..., Any], *arguments: Any) -> Coroutine[Any, Any, Any]:
    return asyncio.to_thread(function, *arguments)


def test_several_are_drawn_and_edited_at_once(openai_server: Server, apple: bytes) -> None:
    async def ask() -> tuple[Any, Any]:
        async with connected(openai_server) as client:
            drawn = client.images.generate(prompt="apple", size="64x64")
            return await asyncio.gather(drawn, client.images.edit(image=("a.png", apple), prompt="green"))

    sizes = [answer.size for answer in asyncio.run(ask())]
    assert sizes == ["64x64", "128x64"]


@pytest.mark.parametrize("draw", [generate, watch])
def test_hanging_up_cancels_the_job_whether_it_is_waited_for_or_watched(openai_server: Server, draw: Draw) -> None:
    gate = f"hang-up-{draw.__name__}"

    async def give_up() -> str:
        async with connected(openai_server, max_retries=0) as client:
            asked = asyncio.create_task(draw(client, f"gated {gate}"))
            await in_thread(openai_server.permit, gate, 1)
            await in_thread(openai_server.reached, gate, 1)
            [job] = (await in_thread(openai_server.get, "/jobs?status=running")).json()["jobs"]
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            return str(job["id"])

    job = asyncio.run(give_up())
    openai_server.permit(gate, 100)
    assert openai_server.ended(job)["status"] == "cancelled"
    assert openai_server.get("/queue").json()["running"] == 0


def test_a_job_with_a_key_goes_on_and_is_there_for_whoever_comes_back_with_it(openai_server: Server) -> None:
    async def give_up_and_come_back() -> tuple[str, str]:
        async with connected(openai_server, default_headers={"Idempotency-Key": "one-apple"}) as client:
            asked = asyncio.create_task(generate(client, "gated come-back"))
            await in_thread(openai_server.permit, "come-back", 1)
            await in_thread(openai_server.reached, "come-back", 1)
            [job] = (await in_thread(openai_server.get, "/jobs?status=running")).json()["jobs"]
            asked.cancel()
            await asyncio.wait([asked])
            await in_thread(openai_server.permit, "come-back", 100)
            answer = await client.images.with_raw_response.generate(prompt="gated come-back", size="64x64")
            return str(job["id"]), answer.headers["x-job-id"]

    first, second = asyncio.run(give_up_and_come_back())
    assert first == second
