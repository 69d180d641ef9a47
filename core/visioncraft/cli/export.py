"""`visioncraft models export`: a model of one engine becomes one of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from visioncraft.cli.output import progress_bar
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from visioncraft.contracts import ModelExporter
    from visioncraft.registry import Registry


def export(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's id.")],
    to: Annotated[str, typer.Option(help="What to make of it.")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Make a model of another kind of one that can draw; it is checked before it is kept."""
    from rich.progress import TimeElapsedColumn

    state: State = ctx.obj
    registry = state.registry()
    exporter, source = _exporter(registry, to), registry.model(model)
    try:
        with progress_bar(TimeElapsedColumn()) as bar:
            made = exporter.export(source, precision, _Stages(bar, bar.add_task("starting", total=None)))
    except KeyboardInterrupt:
        typer.echo("Interrupted; nothing was kept", err=True)
        raise typer.Exit(130) from None
    for finding in made.findings:
        typer.echo(finding)
    typer.echo(f'{made.model.id} is ready: visioncraft generate "a red apple" --model {made.model.id}')


class _Stages:
    """A `Progress` that says what goes on."""

    cancelled = False

    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self._bar.update(self._task, completed=step, total=total)

    def stage(self, name: str) -> None:
        self._bar.update(self._task, description=name)


def _exporter(registry: Registry, to: str) -> ModelExporter:
    from visioncraft.contracts import ModelExporter
    from visioncraft.errors import PluginError

    found = [generator for generator in registry.generators.values() if isinstance(generator, ModelExporter)]
    for exporter in found:
        if exporter.exports == to:
            return exporter
    known = ", ".join(sorted(exporter.exports for exporter in found)) or "none"
    raise PluginError(f"No installed plugin exports to '{to}' (known: {known}); visioncraft-local-onnx does to onnx")
