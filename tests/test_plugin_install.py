"""`visioncraft plugins install | remove`, with pip's own resolver, in an environment that nothing else uses."""

from __future__ import annotations

import subprocess
import sysconfig
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import psutil
import pytest
from harness import House, free_port, served
from packaging_kit import Wheelhouse, clone, house_of, write_wheel

NEEDS = """
import disputed
import numpy as np
from visioncraft import GeneratedImage, Generator, Limits, ModelInfo, encode_png, hookimpl

assert disputed.VERSION == {version}, f"this plugin needs disputed {version}, not {{disputed.VERSION}}"

class Engine(Generator):
    name = "{name}"

    def models(self):
        return [ModelInfo(id=self.name, name="An engine", engine=self.name, limits=Limits(steps=(1, 4)))]

    def run(self, request, progress):
        progress.step(1, 1)
        pixels = np.full((request.height, request.width, 3), request.seed % 256, np.uint8)
        facts = {{"disputed": disputed.VERSION}}
        return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed, facts=facts)

@hookimpl
def visioncraft_generators():
    return [Engine()]
"""
SMALL = {"num_inference_steps": 1, "width": 64, "height": 64, "seed": 7}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip may install: two engines that need different versions of one library, and a library alone."""
    folder = tmp_path_factory.mktemp("index")
    for version in (1, 2):
        write_wheel(folder, "disputed", f"{version}.0", f"VERSION = {version}\n")
        source = NEEDS.format(name=f"engine_{version}", version=version)
        needs = [f"disputed=={version}.*", "numpy", "visioncraft>=1.0,<2"]
        write_wheel(folder, f"visioncraft-engine-{version}", "0.1", source, needs, plugin=f"engine_{version}")
    write_wheel(folder, "tomlkit", "0.12.5", "")
    needs = ["tomlkit==0.12.5", "visioncraft>=1.0,<2"]
    write_wheel(folder, "visioncraft-stubborn", "0.1", "", needs, plugin="stubborn")
    write_wheel(folder, "visioncraft-hollow", "0.1", "", ["visioncraft"])
    write_wheel(folder, "visioncraft-impossible", "0.1", "", ["visioncraft>=2"], plugin="impossible")
    return folder


@pytest.fixture(scope="module")
def house(wheelhouse: Wheelhouse, index: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A server from the core's wheel, in an environment of its own, in which tests change nothing."""
    folder = tmp_path_factory.mktemp("house")
    python = wheelhouse.environment(folder / "venv", "visioncraft", beside=wheelhouse.needs("visioncraft", "testing"))
    return furnished(folder / "house", python, index)


@pytest.fixture(scope="module")
def with_engine(house: House, index: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """The same with engine 1 installed, in which tests change nothing either."""
    made = copied(house, tmp_path_factory.mktemp("with_engine"), index)
    done = made.command("plugins", "install", "--yes", "visioncraft-engine-1")
    assert done.returncode == 0, said(done)
    assert installed(made) == {"engine_1"}
    return made


def furnished(folder: Path, python: Path, index: Path) -> House:
    """A house of that interpreter's environment, with a settings file that commands may change."""
    made = house_of(folder, python, [], PIP_FIND_LINKS=str(index))
    made.env = {**made.env, "VISIONCRAFT_SETTINGS": str(own(made))}
    own(made).write_text(f"# Mine.\n[server]\nport = {free_port()}\n", "utf-8")
    return made


def copied(house: House, folder: Path, index: Path) -> House:
    """A house as another stands, to be changed."""
    return furnished(folder / "house", clone(Path(house.cli).with_name("python"), folder / "venv"), index)


def own(house: House) -> Path:
    """The settings file that commands change; a house writes its own anew before each."""
    return house.folder / "own.toml"


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Everything a command said, in one line."""
    return " ".join((done.stdout + done.stderr).split())


def config(house: House) -> dict[str, object]:
    """The plugins' tables in the settings file."""
    read = tomllib.loads(own(house).read_text("utf-8"))
    return dict(read["plugins"]["config"])


def installed(house: House) -> set[str]:
    """The plugins that the environment's distributions announce."""
    site = sysconfig.get_path("purelib", vars={"base": str(Path(house.cli).parents[1])})
    points = (point for each in distributions(path=[site]) for point in each.entry_points)
    return {point.name for point in points if point.group == "visioncraft"}


def listed(house: House) -> set[str]:
    """The plugins that the server finds."""
    return {line.split()[1] for line in house.command("plugins").stdout.splitlines() if line.startswith("│")}


def test_what_would_change_is_shown_and_a_no_changes_nothing(house: House) -> None:
    done = house.command("plugins", "install", "visioncraft-engine-1", text="n\n")
    assert done.returncode == 1
    for words in ("visioncraft-engine-1", "disputed", "1.0", "Install? A plugin's code runs with all of your rights"):
        assert words in said(done)
    assert installed(house) == set()
    assert listed(house) == {"memory"}


def test_what_is_installed_already_is_nothing_to_do(with_engine: House) -> None:
    again = with_engine.command("plugins", "install", "--yes", "visioncraft-engine-1")
    assert again.returncode == 0 and "Nothing to do" in again.stdout


def test_a_plugin_that_would_break_another_is_refused_by_name_and_the_way_out_is_told(with_engine: House) -> None:
    done = with_engine.command("plugins", "install", "--yes", "visioncraft-engine-2")
    assert done.returncode == 1
    assert "this would break visioncraft-engine-1 0.1 needs disputed==1.*: disputed 2.0. Nothing was changed" in said(
        done
    )
    assert "visioncraft plugins install --isolated visioncraft-engine-2" in said(done)
    assert installed(with_engine) == {"engine_1"}


def test_an_environment_of_its_own_lets_two_that_clash_serve_together_until_one_is_removed(with_engine: House) -> None:
    """It leaves the server's environment and the settings as they were."""
    house, before = with_engine, own(with_engine).read_text("utf-8")
    done = house.command("plugins", "install", "--yes", "--isolated", "visioncraft-engine-2")
    assert done.returncode == 0 and "ERROR" not in said(done), said(done)
    assert config(house) == {"engine_2": {"python": ".venvs/visioncraft-engine-2/bin/python"}}
    with served(house, tomllib.loads(own(house).read_text("utf-8"))["server"]["port"]) as server:
        drawn = {name: server.draw("anything", model=name, **SMALL).json() for name in ("engine_1", "engine_2")}
        assert {name: picture["seed"] for name, picture in drawn.items()} == {"engine_1": 7, "engine_2": 7}
        worker = server.get("/status").json()["system_info"]["backends"]["engine_2"]["worker_pid"]
        assert "/.venvs/visioncraft-engine-2/" in psutil.Process(worker).cmdline()[0]
    checked = house.command("plugins", "check", "engine_2")
    assert checked.returncode == 0 and "engine_2 keeps the contract" in checked.stdout, said(checked)
    twice = house.command("plugins", "install", "--yes", "--isolated", "visioncraft-engine-2")
    assert twice.returncode == 1 and "is there already" in said(twice)
    removed = house.command("plugins", "remove", "--yes", "engine_2")
    assert removed.returncode == 0, said(removed)
    assert own(house).read_text("utf-8") == before
    assert list((house.folder / ".venvs").iterdir()) == []


@pytest.mark.parametrize("apart", [[], ["--isolated"]], ids=["here", "apart"])
def test_requirements_that_no_environment_meets_are_named_and_none_is_offered(house: House, apart: list[str]) -> None:
    done = house.command("plugins", "install", "--yes", *apart, "visioncraft-stubborn")
    assert done.returncode == 1
    assert "visioncraft-stubborn 0.1 depends on tomlkit==0.12.5; visioncraft 1." in said(done)
    assert "depends on tomlkit>=" in said(done) and "one of its own (--isolated) with the same core neither" in said(
        done
    )
    assert "ResolutionImpossible" not in said(done) and "plugins install --isolated" not in said(done)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("visioncraft-hollow", "brings no plugin"),
        ("visioncraft-impossible", "pip cannot install visioncraft-impossible"),
        ("visioncraft-nobody-has", "No matching distribution found"),
    ],
)
def test_an_isolated_install_that_fails_leaves_nothing(house: House, what: str, reason: str) -> None:
    before = own(house).read_text("utf-8")
    done = house.command("plugins", "install", "--yes", "--isolated", what)
    assert done.returncode == 1 and reason in said(done) and "Traceback" not in said(done)
    assert own(house).read_text("utf-8").strip() == before.strip()
    assert list((house.folder / ".venvs").iterdir()) == []


def test_remove_uninstalls_what_nothing_needs_and_refuses_what_settings_select(
    with_engine: House, index: Path, tmp_path: Path
) -> None:
    house = copied(with_engine, tmp_path, index)
    assert house.command("plugins", "remove", "engine_1", text="n\n").returncode == 1
    assert installed(house) == {"engine_1"}
    house.env = {**house.env, "VISIONCRAFT_GENERATION__BACKENDS": '["engine_1"]'}
    refused = house.command("plugins", "remove", "--yes", "engine_1")
    assert refused.returncode == 1 and "generation.backends selects 'engine_1'" in said(refused)
    house.env = {**house.env, "VISIONCRAFT_GENERATION__BACKENDS": "[]"}
    removed = house.command("plugins", "remove", "--yes", "engine_1")
    assert removed.returncode == 0 and "To have it back: visioncraft plugins install visioncraft-engine-1" in said(
        removed
    )
    assert installed(house) == set()
    assert listed(house) == {"memory"}


def test_what_pip_cannot_find_is_said_in_one_line(house: House) -> None:
    done = house.command("plugins", "install", "--yes", "visioncraft-nobody-has")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "pip cannot install visioncraft-nobody-has: Could not find a version" in said(done)
