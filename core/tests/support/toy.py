"""A folder in which the command is run as people run it, with a plugin that draws plain colours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from visioncraft.testing import PATIENCE_S, commands
from visioncraft.testing.commands import Process, Stream

COMMAND = Path(sys.executable).with_name("visioncraft")

TOY = """
from pathlib import Path
import click
import numpy as np
import typer
from visioncraft import ExportedModel, GeneratedImage, Generator, InvalidRequest, ModelInfo, encode_png, hookimpl
from visioncraft.gallery.memory import MemoryStore

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
            with open("gate") as gate:
                for _ in gate:
                    progress.step(1, request.num_inference_steps)
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
        self.settings("[plugins]\nenabled = ['toy', 'broken']\ntrusted = ['toy']")  # no trial of what is known
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

    def begin(self, *arguments: str, stdout: Stream = None, stderr: Stream = None) -> Process:
        """Start a command, whose pipes hold text."""
        return commands.start([COMMAND, *arguments], self.environment, self.folder, stdout=stdout, stderr=stderr)

    def run(self, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return commands.run([COMMAND, *arguments], self.environment | environment, self.folder, PATIENCE_S, text)

    def refusal(self, *arguments: str) -> str:
        """The one line that a command ends with instead of a traceback."""
        done = self.run(*arguments)
        lines = done.stderr.splitlines()
        assert done.returncode == 1 and lines[-1].startswith("Error: ") and "Traceback" not in done.stderr, done
        return lines[-1]
