"""A plugin in an environment of its own, whose dependencies do not agree with the server's."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness import FAKES, ROOT, Server, fake_house, served

ENGINE = """
import sys
import disputed
from visioncraft import BackendStatus, GeneratedImage, Generator, ModelInfo, encode_png, hookimpl
import numpy as np

assert disputed.VERSION == 2, f"this plugin needs disputed 2, not {disputed.VERSION}"

class Engine(Generator):
    name = "isolated_engine"

    def models(self):
        return [ModelInfo(id="isolated", name="Isolated", engine=self.name, quality="Own", limits=self.limits())]

    def limits(self):
        from visioncraft import Limits
        return Limits(steps=(1, 4))

    def status(self):
        return BackendStatus(self.name, facts={"disputed": disputed.VERSION, "prefix": sys.prefix})

    def run(self, request, progress):
        progress.step(1, request.num_inference_steps)
        pixels = np.full((request.height, request.width, 3), request.seed, np.uint8)
        facts = {"prefix": sys.prefix}
        return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed, facts=facts)

@hookimpl
def visioncraft_generators():
    return [Engine()]
"""
ASK = {"model": "isolated", "num_inference_steps": 4, "width": 64, "height": 64, "seed": 7}


def install(site: Path, name: str, module: str, source: str, version: str, plugin: bool = False) -> None:
    """Put a distribution into a folder of packages as pip would leave it."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    if plugin:
        (info / "entry_points.txt").write_text(f"[visioncraft]\n{module} = {module}\n", "utf-8")
    (site / f"{module}.py").write_text(source, "utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with version 1 of a library, and plugins that need version 2: one in a virtual environment that has it.

    The others are in the server's own environment, and in one that is not there.
    """
    house = fake_house(tmp_path_factory.mktemp("apart"))
    install(house.site, "disputed", "disputed", "VERSION = 1", "1")
    install(house.site, "engine_here", "engine_here", ENGINE, "3", plugin=True)
    environment = house.folder / ".venvs" / "engine"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    install(site, "disputed", "disputed", "VERSION = 2", "2")
    install(site, "isolated_engine", "isolated_engine", ENGINE, "3", plugin=True)
    # The core and what it needs; a person would pip install them there.
    (site / "core.pth").write_text(f"{ROOT / 'core'}\n{sysconfig.get_path('purelib')}\n", "utf-8")
    house.tables["plugins"] = {
        **house.tables["plugins"],
        "enabled": [*FAKES, "isolated_engine", "engine_here", "engine_nowhere"],
    }
    house.tables["plugins.config.isolated_engine"] = {"python": ".venvs/engine/bin/python"}
    house.tables["plugins.config.engine_nowhere"] = {"python": "nowhere/bin/python"}
    with served(house) as running:
        yield running


def test_its_models_status_and_pictures_appear_as_any_others(server: Server) -> None:
    assert server.get("/models").json()["local_models"]["isolated"]["quality"] == "Own"
    plugin = server.plugin("isolated_engine")
    assert (plugin["status"], plugin["distribution"], plugin["version"]) == ("active", "isolated_engine", "3")
    drawn = server.draw("anything", **ASK)
    assert (drawn.status_code, drawn.json()["seed"]) == (200, 7)
    facts = server.get("/status").json()["system_info"]["backends"]["isolated_engine"]
    own = str(server.house.folder / ".venvs" / "engine")
    assert (facts["disputed"], facts["prefix"]) == (2, own)
    assert own in psutil.Process(facts["worker_pid"]).cmdline()[0]


def test_in_the_servers_own_environment_the_same_plugin_fails_and_says_why(server: Server) -> None:
    plugin = server.plugin("engine_here")
    assert plugin["status"] == "failed" and "needs disputed 2, not 1" in plugin["error"]


def test_an_environment_that_is_not_there_costs_only_its_plugin(server: Server) -> None:
    plugin = server.plugin("engine_nowhere")
    assert plugin["status"] == "failed" and "cannot be described by python" in plugin["error"]
    assert server.draw("the rest serves", model="fake", width=64, height=64).status_code == 200
