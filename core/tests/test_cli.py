"""The command `visioncraft`, run as people run it: help, models, plugins, settings, keys."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from toy import COMMAND, TOY, House


def test_help_lists_every_command_and_imports_nothing_heavy(house: House) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, "--help"], env=house.environment, capture_output=True, text=True
    )
    words = done.stdout.split()
    assert {"serve", "generate", "models", "plugins", "gallery", "status", "api-key"} <= set(words)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"pydantic", "dynaconf", "pluggy", "rich", "fastapi", "uvicorn", "numpy", "torch", "asyncio"}


def test_version_is_the_distributions(house: House) -> None:
    from importlib.metadata import version

    assert house.run("--version").stdout == f"visioncraft {version('visioncraft')}\n"


def test_models_lists_the_absent_ones_with_the_command_that_fetches_them(house: House) -> None:
    table = house.run("models").stdout
    assert "toy-1.0 *" in table and "To get toy-xl: visioncraft models pull toy-xl" in table
    listed = json.loads(house.run("models", "list", "--json").stdout)
    assert {model["id"]: (model["available"], model["default"]) for model in listed} == {
        "toy-1.0": (True, True),
        "toy-xl": (False, False),
    }


ODD = """
from visioncraft import Generator, ModelInfo, StoredModel, hookimpl

class Odd(Generator):
    name = "odd"
    def models(self):
        yield ModelInfo(id="odd", name="a\\nb | yes\\x1b[2J\\u202e", engine="odd", source="/x\\ny")
        yield ModelInfo(id="gone", name="x", engine="odd", available=False,
                        suggestion="mend\\nwww\\x1b]0;t\\x07\\udcff")
        yield ModelInfo(id="cloud", name="x", engine="odd", kind="cloud", needs="a key")
    def parts(self):
        return [StoredModel("ink", "lora", "/ink", {"ink": 5}, aliases=("In\\u009bk",), trouble="damaged\\nFORGED")]
    def pull(self, model_id, progress): ...
    def add(self, path, name, progress): ...
    def inspect(self, name, listed, progress): ...
    def remove(self, name, listed): ...
    def run(self, request, progress): ...

@hookimpl
def visioncraft_generators():
    return [Odd()]
"""


def test_names_of_files_neither_forge_lines_nor_steer_the_terminal(house: House) -> None:
    house.install("odd", ODD)
    house.settings("[plugins]\nenabled = ['toy', 'odd']\ntrusted = ['toy', 'odd']")
    table = house.run("models").stdout
    assert not any(sign in table for sign in "\x1b\x07\x9b\u202e"), repr(table)
    assert r"a\nb | yes\x1b[2J\u202e" in table
    assert r"To get gone: mend\nwww\x1b]0;t\x07\udcff" in table
    assert r"The lora ink cannot be used: damaged\nFORGED" in table and r"In\x9bk" in table
    listed = house.run("models", "--json").stdout
    assert not any(sign in listed for sign in "\x1b\x9b\u202e")
    (odd,) = [model for model in json.loads(listed) if model["id"] == "odd"]
    assert odd["name"] == "a\nb | yes\x1b[2J\u202e", "to programs it is what it is"


def test_a_model_that_needs_a_key_says_so(house: House) -> None:
    house.install("odd", ODD)
    house.settings("[plugins]\nenabled = ['toy', 'odd']\ntrusted = ['toy', 'odd']")
    table = house.run("models").stdout
    (row,) = [line for line in table.splitlines() if "cloud" in line and "odd" in line]
    assert "not yet" in row and "cloud draws once it has what it needs: a key" in table


def test_models_pull_asks_the_engine_and_makes_the_model_available(house: House) -> None:
    outcomes = [house.run("models", "pull", name).stdout for name in ("toy-xl", "TOY-XL")]
    assert "toy-xl is ready" in outcomes[0] and "already here" in outcomes[1]
    assert "write toy-xl" in house.refusal("models", "pull", "some/thing")


@pytest.mark.parametrize("arguments", [("add", "x.safetensors"), ("remove", "toy-1.0", "--yes"), ("info", "toy-1.0")])
def test_without_a_plugin_that_keeps_weights_the_commands_say_so(house: House, arguments: tuple[str, ...]) -> None:
    assert "pip install visioncraft-local-sd" in house.refusal("models", *arguments)


def test_models_export_asks_the_engine_that_makes_that_kind_and_prints_what_it_found(house: House) -> None:
    made = house.run("models", "export", "TOY-1-0", "--to", "paper", "--precision", "fp16").stdout
    assert "toy-1.0 was folded in fp16\n" in made and "toy-1.0 is ready" in made
    assert "paper has none" in house.refusal("models", "export", "toy-1.0", "--to", "paper", "--precision", "int8")
    assert "(known: paper)" in house.refusal("models", "export", "toy-1.0")
    assert "models pull toy-xl" in house.refusal("models", "export", "toy-xl", "--to", "paper")


def test_plugins_lists_a_broken_one_with_its_reason_and_the_rest_goes_on(house: House) -> None:
    house.install("broken", "import module_that_is_absent")
    listed = {info["name"]: info for info in json.loads(house.run("plugins", "--json").stdout)}
    assert listed["toy"]["status"] == "active" and listed["toy"]["version"] == "0.1"
    assert listed["broken"]["status"] == "failed" and "module_that_is_absent" in listed["broken"]["error"]
    assert house.run("generate", "a red apple", "-o", "apple.png").returncode == 0


def test_plugins_finds_one_that_fails_only_when_asked(house: House) -> None:
    house.install("broken", "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_generators():\n    1 / 0\n")
    table = house.run("plugins").stdout
    assert "failed" in table and "ZeroDivisionError" in table
    assert table.endswith("Commands they bring: count, toybox\n")


def test_plugins_are_listed_even_where_the_settings_cannot_be_served(house: House) -> None:
    house.settings("[plugins]\nenabled = ['toy']\ntrusted = ['toy']\n[storage]\nbackend = 'absent'\n")
    done = house.run("plugins")
    assert done.returncode == 1 and "toy" in done.stdout
    assert "storage.backend selects 'absent'" in done.stderr


def test_a_plugins_commands_take_their_own_arguments_and_exit_codes(house: House) -> None:
    assert house.run("count", "--twice", "a", "b", "--", "--c").stdout == "6\n"
    assert "Count words" in house.run("count", "--help").stdout
    assert house.run("count", "--thrice").returncode == 2
    backend = house.run("toybox", "backend")
    assert (backend.stdout, backend.returncode) == ("auto\n", 3)
    assert house.refusal("toybox", "refuse") == "Error: Refused; of it"


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(house: House) -> None:
    for typo, meant in {"generat": "'generate'", "cuont": "'count'"}.items():
        done = house.run(typo)
        assert done.returncode == 2 and meant in done.stderr


def test_gallery_without_its_plugin_says_what_to_install(house: House) -> None:
    assert "visioncraft-gallery-fs" in house.refusal("gallery", "list")


def test_a_typo_in_the_settings_file_is_named_with_the_nearest_key(house: House) -> None:
    house.settings("[server]\nprot = 9000\n")
    assert "settings.toml: server.prot: unknown key; did you mean 'port'?" in house.refusal("status")


def test_the_settings_option_and_variable_name_the_file(house: House) -> None:
    assert "absent.toml: no such settings file" in house.refusal("--settings", "absent.toml", "status")
    named = house.run("status", VISIONCRAFT_SETTINGS="absent.toml")
    assert named.returncode == 1 and "absent.toml" in named.stderr


def test_verbose_shows_the_traceback(house: House) -> None:
    assert "Traceback" in house.run("--verbose", "--settings", "absent.toml", "status").stderr


def test_status_shows_what_the_api_would(house: House) -> None:
    facts = json.loads(house.run("status", "--json").stdout)
    assert list(facts["available_models"]) == ["toy-1.0"] and facts["system_info"]["storage"] == "toy"
    assert "toy-1.0" in house.run("status").stdout


def test_api_key_is_kept_from_an_argument_or_stdin_and_shown_masked(house: House) -> None:
    assert "key ************1234 kept" in house.run("api-key", "leonardo-api", "secret-key-1234").stdout
    asked = house.run("api-key", "leonardo-api", text="secret-key-5678\n")
    assert "************5678" in asked.stdout and "secret" not in asked.stdout + asked.stderr
    file = house.folder / "api_keys.json"
    assert json.loads(file.read_text()) == {"leonardo-api": "secret-key-5678"} and file.stat().st_mode & 0o77 == 0


def test_api_key_refuses_an_unknown_service_and_an_impossible_key(house: House) -> None:
    assert "one of: leonardo-api" in house.refusal("api-key", "other", "secret-key-1234")
    assert "visible ASCII" in house.refusal("api-key", "leonardo-api", "short")
    assert not (house.folder / "api_keys.json").exists()


def test_a_terminal_that_is_not_utf_8_shows_a_sign_in_place_of_what_it_cannot(house: House) -> None:
    (house.folder / "site" / "vc_toy.py").write_text(TOY.replace('name="Toy"', 'name="Toy \U0001f34e"'))
    listed = house.run("models", PYTHONIOENCODING="ascii")
    assert listed.returncode == 0 and "Toy ?" in listed.stdout, listed
    told = json.loads(house.run("models", "--json", PYTHONIOENCODING="latin-1").stdout)
    assert told[0]["name"] == "Toy \U0001f34e"


def test_status_names_the_folder_and_the_file_that_this_command_works_with(house: House) -> None:
    said = house.run("status").stdout
    assert str(house.folder / "data") in said and str(house.folder / "settings.toml") in said
    assert "none runs with this data folder" in said
