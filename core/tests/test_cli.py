"""The command `visioncraft`, run as people run it, with a plugin that draws plain colours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from visioncraft import decode_png, read_record

COMMAND = Path(sys.executable).with_name("visioncraft")

TOY = """
import time
from pathlib import Path
import click
import numpy as np
import typer
from visioncraft import ExportedModel, GeneratedImage, Generator, InvalidRequest, ModelInfo, encode_png, hookimpl
from visioncraft.stores import MemoryStore

class Toy(Generator):
    name = "toy"
    def models(self):
        yield ModelInfo(id="toy-1.0", name="Toy", engine="toy")
        yield ModelInfo(id="toy-xl", name="Large toy", engine="toy", available=Path("toy-xl").exists(),
                        suggestion="visioncraft models pull toy-xl")
    def pull(self, model_id, progress):
        progress.stage("downloading")
        if model_id != "toy-xl":
            raise InvalidRequest(f"Cannot pull '{model_id}'", field="model", issue="write toy-xl")
        progress.step(1, 1)
        Path(model_id).touch()
        return list(self.models())[1]
    exports = "paper"
    def export(self, model, precision, progress):
        progress.stage("folding")
        if precision == "int8":
            raise InvalidRequest("Unknown precision", field="precision", issue="paper has none")
        return ExportedModel(list(self.models())[0], [f"{model.id} was folded in {precision}"])
    def run(self, request, progress):
        if request.prompt == "bug":
            raise KeyError("a bug in the toy")
        if request.prompt == "endless":
            print("drawing", flush=True)
            while True:
                progress.step(1, request.num_inference_steps)
                time.sleep(0.01)
        for step in range(request.num_inference_steps):
            progress.step(step + 1, request.num_inference_steps)
        pixels = np.full((request.height, request.width, 3), request.seed % 256, np.uint8)
        return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed)

class Kept(MemoryStore):
    name = "toy"
    def save(self, record, png):
        Path("kept.png").write_bytes(png)
        return super().save(record, png)

@hookimpl
def visioncraft_generators():
    return [Toy()]

@hookimpl
def visioncraft_stores():
    return [Kept()]

@hookimpl
def visioncraft_commands(settings):
    @click.command("count")
    @click.argument("words", nargs=-1)
    @click.option("--twice", is_flag=True)
    def count(words, twice):
        "Count words."
        click.echo(len(words) * (2 if twice else 1))
    app = typer.Typer()
    @app.command()
    def backend() -> None:
        typer.echo(settings.storage.backend)
        raise typer.Exit(3)
    @app.command()
    def refuse() -> None:
        raise InvalidRequest("Refused", field="all", issue="of it")
    group = typer.main.get_command(app)
    group.name = "toybox"
    return [count, group]
"""


class House:
    """A folder with its own settings and plugins, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings("[plugins]\nenabled = ['toy', 'broken']")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VISIONCRAFT_")}
        self.environment |= {"PYTHONPATH": str(folder / "site"), "XDG_DATA_HOME": str(folder), "COLUMNS": "200"}

    def settings(self, text: str) -> None:
        """Replace the settings file."""
        (self.folder / "settings.toml").write_text(text)

    def install(self, name: str, source: str) -> None:
        """A plugin as pip leaves it: a module and the metadata with its entry point."""
        metadata = self.folder / "site" / f"visioncraft_{name}-0.1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: visioncraft-{name}\nVersion: 0.1\n")
        (metadata / "entry_points.txt").write_text(f"[visioncraft]\n{name} = vc_{name}\n")
        (self.folder / "site" / f"vc_{name}.py").write_text(source)

    def run(self, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def refusal(self, *arguments: str) -> str:
        """The one line that a command ends with instead of a traceback."""
        done = self.run(*arguments)
        lines = done.stderr.splitlines()
        assert done.returncode == 1 and lines[-1].startswith("Error: ") and "Traceback" not in done.stderr, done
        return lines[-1]


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.install("toy", TOY)
    return made


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


def test_generate_writes_the_gallerys_own_bytes_and_says_what_drew_them(house: House) -> None:
    done = house.run("generate", "a red apple", "-o", "apple.png", "--seed", "7", "--width", "64", "--height", "128")
    assert done.returncode == 0, done.stderr
    png = (house.folder / "apple.png").read_bytes()
    assert png == (house.folder / "kept.png").read_bytes()
    record = read_record(png)
    assert record is not None and (record.prompt, record.seed, record.model) == ("a red apple", 7, "toy-1.0")
    assert decode_png(png).shape == (128, 64, 3)
    assert done.stdout.startswith("apple.png: drawn by toy-1.0, 64x128, seed 7, ")


def test_generate_without_a_file_uses_the_galleries_name_in_this_folder(house: House) -> None:
    said = house.run("generate", "a red apple").stdout
    assert [str(file) for file in house.folder.glob("generated_image_*.png")] == [said.partition(": drawn by")[0]]


def test_generate_shows_steps_on_a_terminal(house: House) -> None:
    done = house.run("generate", "a red apple", "--steps", "16", FORCE_COLOR="1", TTY_INTERACTIVE="1")
    assert "toy-1.0" in done.stderr and "16/16" in done.stderr


@pytest.mark.parametrize("file", ["absent/apple.png", "settings.toml/apple.png"])
def test_generate_refuses_an_unwritable_file_before_it_draws(house: House, file: str) -> None:
    assert f"{file} cannot be written" in house.refusal("generate", "a red apple", "-o", file)
    assert not (house.folder / "kept.png").exists()


def test_generate_names_the_option_that_breaks_the_models_limits(house: House) -> None:
    assert house.refusal("generate", "apple", "--steps", "900") == "Error: Invalid --steps; 15 to 50 for toy-1.0"
    assert "--guidance-scale" in house.refusal("generate", "apple", "--guidance-scale", "nan")


def test_generate_says_how_to_get_a_model_without_weights(house: House) -> None:
    said = house.refusal("generate", "apple", "--model", "toy-xl")
    assert "visioncraft models pull toy-xl" in said and "available: toy-1.0" in said


def test_a_bug_in_a_generator_ends_in_one_line(house: House) -> None:
    assert "Generator 'toy' failed" in house.run("generate", "bug").stderr.splitlines()[-1]


def test_ctrl_c_cancels_a_picture_and_keeps_nothing(house: House) -> None:
    drawing = subprocess.Popen(
        [COMMAND, "generate", "endless", "-o", "apple.png"],
        cwd=house.folder,
        env=house.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with drawing:
        assert drawing.stderr and drawing.stderr.readline() == "drawing\n"
        drawing.send_signal(signal.SIGINT)
        _, said = drawing.communicate(timeout=60)
    assert drawing.returncode == 130 and "Cancelled" in said and "Traceback" not in said
    assert not list(house.folder.glob("*.png"))


def test_models_lists_the_absent_ones_with_the_command_that_fetches_them(house: House) -> None:
    table = house.run("models").stdout
    assert "toy-1.0 *" in table and "To get toy-xl: visioncraft models pull toy-xl" in table
    listed = json.loads(house.run("models", "list", "--json").stdout)
    assert {model["id"]: (model["available"], model["default"]) for model in listed} == {
        "toy-1.0": (True, True),
        "toy-xl": (False, False),
    }


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
    house.settings("[plugins]\nenabled = ['toy']\n[storage]\nbackend = 'absent'\n")
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
