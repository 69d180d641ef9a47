"""Settings select backends; what is broken, missing or misspelt is named, and the rest is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import House, Server, error_of, fake_house, refused, served

BROKEN = "import a_module_that_nobody_has\n"
TELLTALE = "from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\n"
TWIN = """
from visioncraft import Generator, ModelInfo, hookimpl

class Twin(Generator):
    name = "fake_engine"
    def models(self):
        return [ModelInfo(id="twin", name="Twin", engine="fake_engine")]
    def run(self, request, progress):
        raise AssertionError("the twin must not draw")

@hookimpl
def visioncraft_generators(settings):
    return [Twin()]
"""
RAISING_HOOK = """
from visioncraft import hookimpl

@hookimpl
def visioncraft_models(settings):
    raise OSError("the model list is on fire")
"""
STRANGE_HOOK = """
from visioncraft import hookimpl

@hookimpl
def visioncraft_teapots(settings):
    return []
"""


def allow(house: House, *names: str) -> None:
    """Let further plugins load."""
    house.tables["plugins"] = {"enabled": [*house.tables["plugins"]["enabled"], *names]}


def test_without_the_gallery_the_server_serves_from_memory_and_says_so(house: House) -> None:
    house.tables["plugins"] = {"enabled": ["fake_engine", "gallery_fs"], "disabled": ["gallery_fs"]}
    with served(house) as server:
        assert server.draw(width=64, height=64).status_code == 200
        assert server.pictures() == 1
        plugins = {plugin["name"]: plugin for plugin in server.get("/plugins").json()}
        assert (plugins["gallery_fs"]["status"], plugins["gallery_fs"]["error"]) == (
            "disabled",
            "named in plugins.disabled",
        )
        assert server.get("/status").json()["system_info"]["storage"] == "memory"
        assert "pip install visioncraft-gallery-fs" in server.log.read_text("utf-8")
    assert not house.gallery.exists()


BROKEN_ONES = {
    "broken_import": (BROKEN, "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
    "broken_exit": ("raise SystemExit('out of here')\n", "SystemExit: out of here"),
    "broken_syntax": ("this is no Python\n", "SyntaxError"),
    "broken_hook": (RAISING_HOOK, "OSError: the model list is on fire"),
}
"""Plugins, and why each is not served."""


@pytest.fixture(scope="module")
def among(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server among plugins each of which is odd in another way."""
    house = fake_house(tmp_path_factory.mktemp("among"))
    for name, (source, _) in BROKEN_ONES.items():
        house.install(f"visioncraft-{name.replace('_', '-')}", name, source)
    house.install("visioncraft-strange", "strange", STRANGE_HOOK)
    house.install("visioncraft-telltale", "telltale", TELLTALE, requires="visioncraft>=2,<3")
    house.install("visioncraft-twin", "twin", TWIN)
    house.install("visioncraft-zwilling", "fake_engine", TWIN)
    allow(house, *BROKEN_ONES, "strange", "telltale", "twin")
    with served(house) as server:
        yield server


def test_whatever_is_odd_beside_them_the_good_ones_are_served(among: Server) -> None:
    assert among.draw(model="fake", width=64, height=64).status_code == 200
    active = [plugin["distribution"] for plugin in among.get("/plugins").json() if plugin["status"] == "active"]
    assert {"visioncraft-fake-engine", "visioncraft-gallery-fs"} <= set(active)


@pytest.mark.parametrize("name", BROKEN_ONES)
def test_a_broken_plugin_is_named_and_the_rest_is_served(among: Server, name: str) -> None:
    told = among.plugin(name)
    assert (told["status"], told["distribution"]) == ("failed", f"visioncraft-{name.replace('_', '-')}")
    assert BROKEN_ONES[name][1] in told["error"] and "Traceback" not in told["error"]
    assert told["distribution"] in among.log.read_text("utf-8")


def test_the_command_line_lists_broken_plugins_and_hooks_that_nobody_calls_too(among: Server) -> None:
    listed = among.house.command("plugins")
    assert listed.returncode == 0, listed.stderr
    for name in ("broken_import", "failed", "a_module_that_nobody_has", "gallery_fs", "fake_engine", "active"):
        assert name in listed.stdout
    assert "visioncraft_teapots" in listed.stdout.replace("\n", "")


def test_a_plugin_made_for_another_api_is_listed_as_incompatible_and_not_imported(among: Server) -> None:
    told = among.plugin("telltale")
    assert told["status"] == "incompatible" and "visioncraft plugins install --upgrade" in told["error"]
    assert not (among.house.site / "visioncraft_telltale_module.imported").exists()


def test_two_distributions_with_one_generators_name_are_both_named(among: Server) -> None:
    log = among.log.read_text("utf-8")
    assert "generator 'fake_engine' is offered by" in log
    assert "visioncraft-twin 1.2.3" in log and "visioncraft-fake-engine 1.2.3" in log
    assert "fake_engine" in among.plugin("twin")["error"]
    error_of(among.draw(model="twin"), 404, "MODEL_NOT_AVAILABLE")


def test_two_distributions_with_one_entry_points_name_are_both_named(among: Server) -> None:
    namesakes = [plugin for plugin in among.get("/plugins").json() if plugin["name"] == "fake_engine"]
    (failed,) = (plugin for plugin in namesakes if plugin["status"] == "failed")
    assert failed["distribution"] == "visioncraft-zwilling" and "visioncraft-fake-engine" in failed["error"]


def test_the_code_of_a_blocked_plugin_is_never_imported(house: House) -> None:
    house.install("visioncraft-telltale", "telltale", TELLTALE)
    mark = house.site / "visioncraft_telltale_module.imported"
    assert house.command("plugins").returncode == 0
    assert not mark.exists(), "it is not enabled"
    allow(house, "telltale")
    allowed = house.tables["plugins"]
    house.tables["plugins"] = {**allowed, "disabled": ["telltale"]}
    assert house.command("plugins").returncode == 0
    assert not mark.exists(), "it is disabled"
    house.tables["plugins"] = allowed
    assert house.command("plugins").returncode == 0
    assert mark.exists(), "an allowed plugin is imported, so this test can tell"


def test_safe_mode_serves_without_what_is_not_visioncrafts_own(house: House) -> None:
    house.install("visioncraft-telltale", "telltale", TELLTALE)
    allow(house, "telltale")
    listed = house.command("--safe-mode", "plugins", "--json")
    states = {each["name"]: each["status"] for each in json.loads(listed.stdout)}
    assert (states["gallery_fs"], states["fake_engine"], states["telltale"]) == ("active", "disabled", "disabled")
    house.tables["plugins"] = {**house.tables["plugins"], "safe_mode": True}
    with served(house) as server:
        assert "safe mode" in server.plugin("telltale")["error"]
        assert server.get("/gallery").status_code == 200
        error_of(server.draw(), 404, "MODEL_NOT_AVAILABLE")
    assert not (house.site / "visioncraft_telltale_module.imported").exists()


def one_line(said: str) -> str:
    """What a server that does not start says: one line, no traceback."""
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1, said
    return said


def test_a_selected_store_that_is_not_installed_stops_the_start(house: House) -> None:
    house.tables["storage"] = {"backend": "nope"}
    said = one_line(refused(house))
    assert "storage.backend selects 'nope', which is not installed" in said
    assert "pip install visioncraft-nope" in said and "gallery_fs" in said


def test_a_selected_generator_that_failed_stops_the_start_with_its_reason(house: House) -> None:
    house.install("visioncraft-broken", "broken", BROKEN)
    allow(house, "broken")
    house.tables["generation"] = {"backends": ["broken"]}
    said = refused(house)
    assert "generation.backends selects 'broken', which has failed" in said
    assert "a_module_that_nobody_has" in said and "Traceback" not in said


def test_a_selected_store_that_is_disabled_stops_the_start(house: House) -> None:
    house.tables["plugins"] = {"disabled": ["gallery_fs"], "enabled": ["fake_engine", "gallery_fs"]}
    house.tables["storage"] = {"backend": "gallery_fs"}
    assert "named in plugins.disabled" in one_line(refused(house))


TYPOS = (
    ("server", "prot", "port"),
    ("jobs", "capasity", "capacity"),
    ("", "defualt_model", "default_model"),
    ("plugins.config.gallery_fs", "thumbnail_size", "thumbnail_side"),
    ("storge", "backend", "storage"),
)


@pytest.mark.parametrize(("table", "key", "near"), TYPOS)
def test_a_typo_in_the_settings_is_named_with_the_nearest_key(house: House, table: str, key: str, near: str) -> None:
    house.tables[table] = {**house.tables.get(table, {}), key: 1}
    said = one_line(refused(house))
    assert near in said and (key in said or table in said) and "settings.toml" in said


WRONG_KINDS = (
    ("server", "port", "eight thousand"),
    ("server", "port", 70000),
    ("jobs", "capacity", 0),
    ("", "default_model", 1),
)


@pytest.mark.parametrize(("table", "key", "value"), WRONG_KINDS)
def test_a_setting_of_a_wrong_kind_is_named(house: House, table: str, key: str, value: object) -> None:
    house.tables[table] = {**house.tables.get(table, {}), key: value}
    listed = house.command("plugins")
    assert listed.returncode != 0
    said = one_line(listed.stdout + listed.stderr)
    assert key in said and "settings.toml" in said


def test_settings_that_are_no_toml_are_named(house: House, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[server\nport = 1\n", "utf-8")
    house.env = {"VISIONCRAFT_SETTINGS": str(broken)}
    assert "broken.toml" in one_line(refused(house))


def test_a_settings_file_that_is_absent_is_named(house: House, tmp_path: Path) -> None:
    house.env = {"VISIONCRAFT_SETTINGS": str(tmp_path / "nowhere.toml")}
    assert "nowhere.toml: no such settings file" in one_line(refused(house))
