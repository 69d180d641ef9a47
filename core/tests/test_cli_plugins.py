"""`visioncraft plugins`: what there is, one of them, a new one, and the settings file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from visioncraft._version import PLUGIN_API
from visioncraft.testing import PATIENCE_S, House, commands

CORE = Path(__file__).parents[1]
TYPES = CORE.parent / ".mypy_cache" / "new_plugins"
"""What mypy found out about numpy and the core, which takes most of its time, is kept from run to run."""
TOY = """
from visioncraft import hookimpl
from visioncraft.testing import FakeGenerator, MemoryStore

class Toy(FakeGenerator):
    name = "fake"

class Box(MemoryStore):
    name = "box"

@hookimpl
def visioncraft_generators():
    return [Toy()]

@hookimpl
def visioncraft_stores():
    return [Box()]
"""
COMMENTED = """# My server.
[server]
port = 9000  # behind a proxy

[plugins]
# Not these.
disabled = ["mini"]  # for now
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path, {"plugins": {"enabled": ["toy"], "trusted": ["toy"]}})
    made.install("visioncraft-toy", "toy", TOY)
    return made


def wrote(house: House, text: str) -> Path:
    """Replace the settings file by one written by hand; commands leave it as it is then."""
    file = house.folder / "by-hand.toml"
    file.write_text(text)
    house.env = {**house.env, "VISIONCRAFT_SETTINGS": str(file)}
    return file


def refusal(house: House, *arguments: str) -> str:
    """The one line that a command ends with instead of a traceback."""
    done = house.command("plugins", *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done
    return done.stderr.splitlines()[-1]


def test_the_bare_command_and_list_say_the_same(house: House) -> None:
    bare, listed = (house.command("plugins", *words, "--json").stdout for words in ([], ["list"]))
    assert json.loads(bare) == json.loads(listed) != []


def test_info_says_where_a_plugin_comes_from_what_it_brings_and_what_it_lacks(house: House) -> None:
    house.install("visioncraft-toy", "toy", TOY, requires="nobody-has-this>=3")
    facts = json.loads(house.command("plugins", "info", "toy", "--json").stdout)
    assert (facts["distribution"], facts["version"], facts["status"]) == ("visioncraft-toy", "1.2.3", "active")
    assert facts["brings"] == {"generators": ["fake"], "stores": ["box"]}
    assert facts["lacks"] == ["visioncraft-toy 1.2.3 needs nobody-has-this>=3: it is not installed"]
    assert facts["made for"] == "any visioncraft: it states no version"
    said = house.command("plugins", "info", "toy").stdout
    assert "brings:       generators fake; stores box" in said and "error" not in said


def test_info_of_a_broken_one_says_what_is_wrong(house: House) -> None:
    house.install("visioncraft-toy", "toy", "import nothing_of_that_name")
    assert "nothing_of_that_name" in house.command("plugins", "info", "toy").stdout


@pytest.mark.parametrize("command", ["info", "check", "remove", "enable", "disable"])
def test_a_name_that_nobody_has_is_refused_with_the_nearest(house: House, command: str) -> None:
    assert refusal(house, command, "toi") == "Error: No plugin 'toi' is installed; did you mean 'toy'?"
    assert "`visioncraft plugins` lists them" in refusal(house, command, "zzzz")


def test_disable_and_enable_change_one_line_and_keep_every_comment(house: House) -> None:
    file = wrote(house, COMMENTED)
    assert house.command("plugins", "disable", "toy").returncode == 0
    assert file.read_text() == COMMENTED.replace('["mini"]', '["mini", "toy"]')
    assert house.command("plugins", "enable", "toy").returncode == 0
    assert file.read_text() == COMMENTED


def test_disable_writes_a_table_where_there_is_none_and_nothing_twice(house: House) -> None:
    file = wrote(house, "# Mine\n[plugins.config.toy]\nkey = 1\n")
    for _ in range(2):
        assert house.command("plugins", "disable", "toy").returncode == 0
    read = tomllib.loads(file.read_text())
    assert read == {"plugins": {"disabled": ["toy"], "config": {"toy": {"key": 1}}}}
    assert file.read_text().startswith("# Mine\n")


def test_enable_puts_a_plugin_on_the_allow_list_where_there_is_one(house: House) -> None:
    file = wrote(house, '[plugins]\nenabled = ["mini"]\ndisabled = ["toy"]\n')
    assert house.command("plugins", "enable", "toy").returncode == 0
    assert tomllib.loads(file.read_text())["plugins"] == {"enabled": ["mini", "toy"], "disabled": []}
    wrote(house, "[plugins]\nenabled = []\n")
    assert house.command("plugins", "enable", "toy").returncode == 0
    assert tomllib.loads(file.read_text())["plugins"]["enabled"] == [], "an empty list allows all"


def test_a_switch_that_the_environment_overrides_says_so(house: House) -> None:
    wrote(house, "")
    house.env = {**house.env, "VISIONCRAFT_PLUGINS__DISABLED": '["toy"]'}
    assert "the environment is stronger" in refusal(house, "enable", "toy")


def test_without_a_settings_file_nothing_is_written(house: House, tmp_path: Path) -> None:
    house.env = {
        "VISIONCRAFT_SETTINGS": "",
        "XDG_CONFIG_HOME": str(tmp_path),
        "VISIONCRAFT_PLUGINS__ENABLED": '["toy"]',
    }
    empty = tmp_path / "empty"
    empty.mkdir()
    done = commands.run([house.cli, "plugins", "disable", "toy"], house.environment(), empty, PATIENCE_S)
    assert done.returncode == 1 and "there is no settings file to change" in done.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("../elsewhere/bin/python", "is not in"),
        (".venvs/../bin/python", "is not in"),
        (".venvs/by-hand/bin/python", "was not made by `visioncraft plugins install --isolated`"),
    ],
)
def test_remove_touches_no_folder_that_it_did_not_make(house: House, python: str, reason: str) -> None:
    file = wrote(house, f'[plugins.config.toy]\npython = "{python}"\n')
    precious = [house.folder / ".venvs" / "by-hand" / "precious", house.folder / "bin" / "precious"]
    for kept in precious:
        kept.parent.mkdir(parents=True)
        kept.touch()
    assert reason in refusal(house, "remove", "--yes", "toy")
    assert all(kept.exists() for kept in precious) and python in file.read_text()


def test_check_holds_a_plugin_that_keeps_the_contract_and_one_that_does_not(house: House) -> None:
    house.install("visioncraft-toy", "toy", TOY, requires="visioncraft>=1.0,<2")
    kept = house.command("plugins", "check", "toy")
    assert kept.returncode == 1, "a store that forgets breaks the contract"
    assert "test_a_store_opened_again_has_everything" in kept.stdout
    assert "1 failed" in kept.stdout and f"toy breaks the contract (plugin API {PLUGIN_API})" in kept.stdout
    house.install("visioncraft-toy", "toy", TOY.partition("class Box")[0] + "@hookimpl" + TOY.split("@hookimpl")[1])
    asked = house.command("plugins", "check", "toy")
    assert "toy keeps the contract" in asked.stdout, asked.stdout + asked.stderr
    assert asked.returncode == 1 and f'write "visioncraft>={PLUGIN_API},<2" among its dependencies' in asked.stdout


def test_check_spends_nothing_and_says_so(house: House) -> None:
    cloud = TOY.replace(
        'name = "fake"', 'name = "fake"\n    def models(self): return [replace(super().models()[0], kind="cloud")]'
    )
    cloud = cloud.replace("class Box", "class Unused").replace("@hookimpl\ndef visioncraft_stores", "def unused")
    cloud += "\n    def run(self, request, progress): raise SystemExit('this costs money')"
    house.install("visioncraft-toy", "toy", f"from dataclasses import replace\n{cloud}", "visioncraft>=1.0,<2")
    done = house.command("plugins", "check", "toy")
    assert done.returncode == 0, done.stdout
    assert "fake was not asked to draw: it would cost money" in done.stdout


def test_check_of_a_broken_plugin_says_what_is_wrong_with_it(house: House) -> None:
    house.install("visioncraft-toy", "toy", "import nothing_of_that_name")
    assert "(visioncraft-toy 1.2.3) has failed: import raised ModuleNotFoundError" in refusal(house, "check", "toy")


@pytest.mark.parametrize("kind", ["generator", "store", "routes"])
def test_a_new_plugin_passes_its_own_tests_mypy_and_ruff_at_once(house: House, kind: str) -> None:
    assert house.command("plugins", "new", "my_own", "--kind", kind).returncode == 0
    folder = house.folder / "visioncraft-my-own"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VISIONCRAFT_")}
    clean |= {"MYPYPATH": str(CORE), "MYPY_CACHE_DIR": str(TYPES)}
    for tool in (
        "pytest -q -p no:cacheprovider",
        "mypy --follow-imports=silent .",
        "ruff check .",
        "ruff format --check .",
    ):
        command = [sys.executable, "-m", *tool.split()]
        done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, f"{tool}:\n{done.stdout}{done.stderr}"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["visioncraft"] == {"my_own": "visioncraft_my_own.plugin"}


@pytest.mark.parametrize("name", ["My_Own", "9lives", "my__own", "../up", "", "class", "my-own", "_x"])
def test_a_name_that_cannot_be_a_plugins_is_refused_and_nothing_is_written(house: House, name: str) -> None:
    house.settings()
    before = sorted(house.folder.iterdir())
    assert "cannot be a plugin's name; lower case letters" in refusal(house, "new", name)
    assert sorted(house.folder.iterdir()) == before


def test_new_overwrites_nothing_and_knows_three_kinds(house: House) -> None:
    assert "generator, store, routes" in refusal(house, "new", "mine", "--kind", "teapot")
    assert house.command("plugins", "new", "mine").returncode == 0
    assert "visioncraft-mine is there already" in refusal(house, "new", "mine", "--kind", "store")
