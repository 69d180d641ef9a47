"""What the package costs a server that no client of the protocol comes to."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import visioncraft_mcp_server.plugin
from fastapi import FastAPI
from fastapi.testclient import TestClient
from visioncraft import Settings
from visioncraft_mcp_server import door

app = FastAPI()
app.include_router(door.router(Settings(), object()))
with TestClient(app) as client:
    print("mcp" in sys.modules)
    client.post("/mcp")
    print("mcp" in sys.modules)
"""


def test_the_protocols_library_is_imported_for_the_first_client_alone() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]
