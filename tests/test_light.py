"""The install without torch: core, gallery, ONNX Runtime and the embedded model serve and draw.

`make test` bars torch and its kin from the server and its worker; `make soak` makes an empty environment and fetches
what the four folders name from the registry.
"""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ROOT, House, served
from packaging_kit import LIGHT

SOAK = bool(os.environ.get("VISIONCRAFT_SOAK"))
BARRED = ("torch", "diffusers", "transformers", "accelerate", "scipy", "safetensors", "huggingface_hub", "onnx")
BAR = f"""
import sys

class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BARRED!r}:
            raise ModuleNotFoundError(f"{{name}} is barred", name=name)

sys.meta_path.insert(0, Bar())
"""


def barred(folder: Path) -> House:
    """This environment, in which nothing of torch can be imported."""
    house = House(folder, {"plugins": {"enabled": ["gallery_fs", "local_onnx", "mini"]}})
    house.site.mkdir()
    (house.site / "sitecustomize.py").write_text(BAR, "utf-8")
    return house


def empty(folder: Path) -> House:
    """An environment of its own that holds the four folders and what they name."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, *(ROOT / part for part in LIGHT)], check=True, capture_output=True, cwd=folder)
    held = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert {line.split()[0] for line in held.splitlines()} & set(BARRED) == set()
    return House(folder, cli=str(python.with_name("visioncraft")))


@pytest.mark.parametrize("make", [barred, *([empty] if SOAK else [])], ids=lambda make: make.__name__)
def test_without_torch_the_server_serves_and_draws(make: Callable[[Path], House], tmp_path: Path) -> None:
    with served(make(tmp_path)) as server:
        drawn = server.draw("red apple", seed=7, num_inference_steps=4, width=256, height=256)
        assert (drawn.status_code, drawn.json()["model"]) == (200, "visioncraft-mini"), drawn.text
        assert server.pictures() == 1
        assert server.get("/status").json()["system_info"]["backends"]["local_onnx"]["provider"] == "cpu"
