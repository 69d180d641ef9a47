"""Two engines that can draw one model, behind a real server: settings say which one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
from harness import House, Server, error_of, refused, served
from visioncraft import read_record

SMALL: dict[str, Any] = {"width": 256, "height": 256, "num_inference_steps": 4, "seed": 3}
PLUGINS = ["gallery_fs", "local_onnx", "local_sd", "mini"]


def house_with(folder: Path, backends: list[str], **table: Any) -> House:
    folder.mkdir(exist_ok=True)
    tables: dict[str, Any] = {
        "plugins": {"enabled": PLUGINS},
        "generation": {"backends": backends},
        "plugins.config.local_sd": {"device": "cpu", "dtype": "fp32"},
    }
    return House(folder, tables | ({"plugins.config.local_onnx": table} if table else {}))


def has_torch(server: Server, backend: str) -> bool:
    """Whether a worker has torch in memory, as the kernel sees it."""
    process = psutil.Process(server.get("/status").json()["system_info"]["backends"][backend]["worker_pid"])
    return any("libtorch" in entry.path for entry in process.memory_maps())


def drawer_of(server: Server) -> str:
    """The generator that draws mini."""
    answer = server.draw(**SMALL)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "visioncraft-mini"
    record = read_record(server.get(f"/images/{answer.headers['x-image-id']}").content)
    assert record is not None
    return record.generator


def test_unless_settings_choose_local_sd_draws_mini_with_torch(real: Server) -> None:
    assert drawer_of(real) == "local_sd" and has_torch(real, "local_sd")


def test_settings_may_have_local_onnx_draw_it_without_torch(tmp_path: Path) -> None:
    with served(house_with(tmp_path, ["local_onnx"])) as server:
        assert drawer_of(server) == "local_onnx" and not has_torch(server, "local_onnx")
        told = server.get("/status").json()["system_info"]["backends"]["local_onnx"]
        assert told["provider"] == "cpu", "the provider in use is shown"


def test_a_provider_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    with served(house_with(tmp_path, ["local_onnx"], providers=["cuda"])) as server:
        for _ in range(2):  # the server goes on
            error = error_of(server.draw(**SMALL), 503, "SERVICE_UNAVAILABLE")
            assert "pip install onnxruntime-gpu" in error["message"]


def test_a_provider_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    assert "plugins.config.local_onnx.providers" in refused(house_with(tmp_path, [], providers=["abacus"]))
