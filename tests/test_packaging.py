"""Every distribution as it is published: wheels and sdists, and an environment that holds nothing else of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from harness import ROOT, House, Server, served
from packaging_kit import EXAMPLES, PLUGINS, PROJECTS, Wheelhouse, house_of

OURS = [tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"]["name"] for path in PROJECTS]
LATER = "visioncraft-wrong-api"
"""pip refuses it beside this core; an upgrade of the core would leave it behind."""

SOAK = "VISIONCRAFT_SOAK" in os.environ
"""`make soak`: the environment starts empty and what it needs is downloaded, and each broken plugin is alone once."""

SIZE = {"width": 64, "height": 64}

BROKEN = {
    "import_error": ("failed", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
    "wrong_signature": ("failed", "{'device'} are declared in the hookimpl but can not be found in the hookspec"),
    "raises": ("failed", "visioncraft_models raised OSError: the list of models is on fire"),
    "hangs": ("failed", "visioncraft_models did not answer within 5 s"),
    "duplicate": ("active", "generator 'plasma' is offered by plugin 'duplicate' (visioncraft-duplicate 0.1.0) and by"),
    "wrong_api": ("incompatible", "it was made for visioncraft<3,>=2, and this is 1.1.0"),
}
"""What each broken example is listed as."""


@pytest.fixture(scope="module")
def clean(wheelhouse: Wheelhouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with our wheels and the examples', all of them, and no source of ours."""
    examples = [path.name for path in EXAMPLES if path.name != LATER]
    folder = tmp_path_factory.mktemp("clean") / "venv"
    python = wheelhouse.environment(folder, *OURS, *examples, empty=SOAK)
    assert wheelhouse.install(python, LATER, options=["--no-deps"]).returncode == 0
    return python


def test_the_metadata_of_every_wheel_and_sdist_is_fit_to_be_published(wheelhouse: Wheelhouse) -> None:
    files = [str(file) for name in OURS for file in (wheelhouse.wheel(name), wheelhouse.sdist(name))]
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2 * len(OURS)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_a_wheel_and_its_sdist_hold_every_file_of_the_package(project: Path, wheelhouse: Wheelhouse) -> None:
    name = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    package = project / name.replace("-", "_")
    wanted = {str(path.relative_to(project)) for path in package.rglob("*") if path.is_file()}
    wanted = {path for path in wanted if "__pycache__" not in path}
    with zipfile.ZipFile(wheelhouse.wheel(name)) as wheel, tarfile.open(wheelhouse.sdist(name)) as sdist:
        in_sdist = {path.partition("/")[2] for path in sdist.getnames()}
        in_wheel = set(wheel.namelist())
    assert len(wanted) > 2 and wanted - in_wheel == set() == wanted - in_sdist
    strangers = {path.partition("/")[0] for path in in_wheel} - {package.name}
    assert all(top.endswith(".dist-info") for top in strangers), strangers


def test_an_environment_of_wheels_alone_serves_and_draws(clean: Path, tmp_path: Path) -> None:
    names = [path.name for path in PLUGINS]
    with served(house_of(tmp_path, clean, names)) as server:
        states = {name: server.plugin(name)["status"] for name in names}
        assert set(states.values()) == {"active"}, states
        drawn = server.draw("red apple", seed=7, num_inference_steps=1, width=256, height=256)
        assert (drawn.status_code, drawn.json()["model"]) == (200, "visioncraft-mini")
        assert server.pictures() == 1
    where = "import visioncraft, visioncraft_mini; print(visioncraft.__file__, visioncraft_mini.__file__)"
    told = subprocess.run([clean, "-c", where], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert str(ROOT) not in told and told.count(str(clean.parent.parent)) == 2


@pytest.fixture(scope="module")
def company(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all examples: those that do well in the company of all that do not."""
    house = _with_broken(list(BROKEN), clean, tmp_path_factory.mktemp("company"), "shoebox", "wall")
    house.tables["storage"] = {"backend": "shoebox"}
    with served(house) as server:
        yield server


def test_the_examples_draw_keep_and_show_in_the_company_of_broken_ones(company: Server) -> None:
    drawn = company.draw("calm sea", **SIZE)
    assert (drawn.status_code, drawn.json()["model"]) == (200, "plasma")
    kept = company.house.folder / "data" / "shoebox"
    assert [file.stem for file in kept.iterdir()] == [drawn.headers["x-image-id"]]
    assert company.pictures() == 1
    assert "<title>Wall</title>" in company.get("/wall").text


@pytest.mark.parametrize("name", BROKEN)
def test_the_server_says_what_is_wrong_with_a_broken_plugin(name: str, company: Server) -> None:
    assert _is_told(name, company.plugin(name))


if SOAK:

    @pytest.mark.parametrize("name", BROKEN)
    def test_the_server_starts_and_serves_beside_a_broken_plugin_alone(name: str, clean: Path, tmp_path: Path) -> None:
        with served(_with_broken([name], clean, tmp_path)) as server:
            assert server.draw("calm sea", **SIZE).json()["model"] == "plasma"
            assert _is_told(name, server.plugin(name))


def test_the_command_line_says_what_is_wrong_with_all_of_them_at_once(company: Server) -> None:
    listed = company.house.command("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    told = {each["name"]: each for each in json.loads(listed.stdout)}
    assert (told["plasma"]["status"], told["plasma"]["error"]) == ("active", None)
    for name in BROKEN:
        assert _is_told(name, told[name])


def _with_broken(names: Sequence[str], clean: Path, folder: Path, *further: str) -> House:
    """One plugin that draws, beside these."""
    house = house_of(folder, clean, ["plasma", *further, *names])
    house.tables["plugins"] = {**house.tables["plugins"], "hook_timeout_s": 5.0}
    return house


def _is_told(name: str, told: Mapping[str, str]) -> bool:
    """Whether a broken plugin is listed as what it is, with its reason and no traceback."""
    status, reason = BROKEN[name]
    return told["status"] == status and reason in told["error"] and "Traceback" not in told["error"]


def test_pip_itself_refuses_a_plugin_made_for_another_api(clean: Path, wheelhouse: Wheelhouse) -> None:
    done = wheelhouse.install(clean, "visioncraft", LATER)
    assert done.returncode != 0 and "conflicting dependencies" in done.stderr


def test_every_broken_example_is_tried() -> None:
    folders = [path.name for path in EXAMPLES if path.parent.name == "broken"]
    assert sorted(f"visioncraft-{name.replace('_', '-')}" for name in BROKEN) == sorted(folders)
