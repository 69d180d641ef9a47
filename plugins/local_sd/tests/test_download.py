"""Downloads, against a small hub on this machine: what is fetched, what is not, and what a failure says."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from visioncraft import InvalidRequest, JobCancelled, ServiceUnavailable, VisionCraftError
from visioncraft_local_sd.download import weights_to_fetch
from visioncraft_local_sd.generator import LocalSD

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Make = Callable[..., LocalSD]


class Hub(http.server.ThreadingHTTPServer):
    """As much of huggingface.co as a download asks for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.status = 200
        self.error = ""

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
            content = self.server.files[found[1]]
            if body:
                self.server.fetched.append(found[1])
            self._send(200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, body)  # noqa: S324
        elif "/tree/" in self.path:
            entries = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in self.server.files.items()]
            self._send(200, json.dumps(entries).encode())
        else:
            siblings = [{"rfilename": name, "size": len(c)} for name, c in self.server.files.items()]
            self._send(200, json.dumps({"id": "x/y", "sha": COMMIT, "siblings": siblings}).encode())

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that offers the tiny SD 1.x beside everything that must not be fetched."""
    server = Hub()
    files = [path for path in sd1.rglob("*") if path.is_file()]
    server.files = {path.relative_to(sd1).as_posix(): path.read_bytes() for path in files}
    server.files |= {
        "v1-5-pruned.ckpt": b"pickle",
        "v1-5-pruned.safetensors": b"twin",
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.non_ema.safetensors": b"twin",
        "unet/evil.py": b"code",
        "safety_checker/model.safetensors": b"unused",
        "README.md": b"words",
    }
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_model_is_pulled_into_the_models_folder_and_draws(
    generator_for: Make, hub: Hub, ask: Any, recorder: Any
) -> None:
    local, progress = generator_for(), recorder()
    info = local.pull("someone/tiny-painter", progress)
    assert (info.id, info.available) == ("tiny-painter", True)
    assert local.run(ask(Path(str(info.source))), recorder()).width == 64
    wanted = {"unet/diffusion_pytorch_model.safetensors", "model_index.json", "text_encoder/model.safetensors"}
    assert wanted < set(hub.fetched)
    assert {name for name in hub.fetched if not re.search(r"model\.safetensors$|\.json$|\.txt$", name)} == set()
    assert not any("safety_checker" in name for name in hub.fetched)
    assert progress.stages == ["downloading"]
    assert progress.steps[-1][0] == progress.steps[-1][1] > 1


def test_stable_diffusion_is_pulled_into_the_hugging_face_cache_and_is_listed(
    generator_for: Make, hub: Hub, recorder: Any, tmp_path: Path
) -> None:
    info = generator_for().pull("stable-diffusion-1.5", recorder())
    assert (info.id, info.available) == ("stable-diffusion-1.5", True)
    assert Path(str(info.source)).is_relative_to(tmp_path / "hf")


def test_a_cancelled_download_stops_and_another_one_finishes_it(generator_for: Make, hub: Hub, recorder: Any) -> None:
    local = generator_for()
    progress = recorder(cancel_at_step=1)
    with pytest.raises(JobCancelled):
        local.pull("someone/tiny", progress)
    assert local.pull("someone/tiny", recorder()).available


def test_fp16_weights_are_preferred_and_shards_come_with_their_index() -> None:
    files = [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "text_encoder/pytorch_model.bin",
        "text_encoder/pytorch_model.bin.index.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "unet/deep/er/x.json",
    ]
    unwanted = {files[2], files[7], files[8], files[11]}
    assert set(weights_to_fetch(files)) == set(files) - unwanted


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, "RepoNotFound", "is not on the hub"),
        (403, "GatedRepo", "accept it on huggingface.co"),
        (500, "", "check the network or HF_ENDPOINT"),
    ],
)
def test_a_hub_that_refuses_is_one_line_with_the_next_step(
    generator_for: Make, hub: Hub, recorder: Any, status: int, error: str, words: str
) -> None:
    hub.status, hub.error = status, error
    with pytest.raises(ServiceUnavailable, match=words) as caught:
        generator_for().pull("someone/tiny", recorder())
    assert "then: visioncraft models pull someone/tiny" in caught.value.message
    assert "\n" not in caught.value.message


def test_without_a_network_a_pull_is_one_line_with_the_next_step(
    generator_for: Make, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(VisionCraftError, match="check the network") as caught:
        generator_for().pull("stable-diffusion-1.5", recorder())
    assert caught.value.message.endswith("then: visioncraft models pull stable-diffusion-1.5")
    assert "\n" not in caught.value.message


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(
    generator_for: Make, hub: Hub, recorder: Any
) -> None:
    hub.files = {"model_index.json": b"{}", "unet/diffusion_pytorch_model.bin": b"pickle"}
    with pytest.raises(ServiceUnavailable, match="no diffusers folders with safetensors"):
        generator_for().pull("someone/pickles", recorder())
    assert hub.fetched == []


@pytest.mark.parametrize("name", ["", "sdxl", "../../etc", "a/b/c", "/etc/passwd", "a/../b", "-x/y", "a b/c", "x/.."])
def test_an_id_that_is_no_repository_is_refused(generator_for: Make, recorder: Any, name: str) -> None:
    with pytest.raises(InvalidRequest, match="Cannot pull"):
        generator_for().pull(name, recorder())
