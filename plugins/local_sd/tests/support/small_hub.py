"""As much of huggingface.co as a download asks for, on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """As much of huggingface.co as a download asks for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.ranges: list[str] = []
        self.status = 200
        self.error = ""
        self.cut_once: set[str] = set()  # the connection breaks in the middle of these, once
        self.lies: set[str] = set()  # these are not what their hash says

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.server.status != 200:
            self._send(self.server.status, b"{}", {"X-Error-Code": self.server.error})
        elif found := re.search(r"/resolve/[^/]+/(.+)$", self.path):
            self._file(found[1], body)
        elif "/tree/" in self.path:
            entries = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in self.server.files.items()]
            self._send(200, json.dumps(entries).encode())
        else:
            siblings = [self._listed(name, content) for name, content in self.server.files.items()]
            self._send(200, json.dumps({"id": "x/y", "sha": COMMIT, "siblings": siblings}).encode())

    def _file(self, name: str, body: bool) -> None:
        content, first = self.server.files[name], 0
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if body:
            self.server.fetched.append(name)
            if wanted := self.headers.get("Range"):
                self.server.ranges.append(wanted)
                first = int(wanted.removeprefix("bytes=").split("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if body and name in self.server.cut_once:
            self.server.cut_once.remove(name)
            self._send(200, content, headers, body=False)
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self._send(206 if first else 200, content[first:], headers, body)

    def _listed(self, name: str, content: bytes) -> dict[str, Any]:
        """As the hub lists a file: a large one with its SHA-256, a small one with git's hash."""
        if name in self.server.lies:
            content += b"!"
        entry: dict[str, Any] = {"rfilename": name, "size": len(content)}
        entry["blobId"] = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()  # noqa: S324
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        return entry

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
