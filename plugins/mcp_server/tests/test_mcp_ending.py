"""A server that ends while a client of the protocol waits."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import httpx2
from dialect_kit import TOKEN, jobs_of, serving
from harness import Server
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def end_while_drawing(server: Server) -> str:
    """Have the server end in the middle of a call; answers the job."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode="legacy") as client,
    ):
        calling = asyncio.create_task(client.call_tool("generate_image", {"prompt": "gated end", "steps": 15}))
        await asyncio.to_thread(server.permit, "end", 1)
        await asyncio.to_thread(server.reached, "end", 1)
        job = jobs_of(server, "gated end")[0]
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 120)
        calling.cancel()
        await asyncio.wait([calling])
    return job


def test_a_call_that_the_end_of_the_server_breaks_off_leaves_its_job_for_the_next_start(tmp_path: Path) -> None:
    with serving(tmp_path, "mcp_server") as server:
        job = asyncio.run(end_while_drawing(server))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "jobs.sqlite3")) as ledger:
        assert ledger.execute("select state from jobs where id = ?", (job,)).fetchone() in [("running",), ("queued",)]
