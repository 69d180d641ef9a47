"""`visioncraft models export`: a model of one engine becomes one of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from visioncraft.cli.state import State
from visioncraft.cli.weights import shown

if TYPE_CHECKING:
    from visioncraft.plugins.contracts import ModelExporter
    from visioncraft.plugins.registry import Registry


def export(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's id.")],
    to: Annotated[str, typer.Option(help="What to make of it.")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
) -> None:
    """Make a model of another kind of one that can draw; it is checked before it is kept."""
    state: State = ctx.obj
    registry = state.registry()
    exporter, source = _exporter(registry, to), registry.model(model)
    with shown("starting", "nothing was kept") as progress:
        made = exporter.export(source, precision, progress)
    for finding in made.findings:
        typer.echo(finding)
    typer.echo(f'{made.model.id} is ready: visioncraft generate "a red apple" --model {made.model.id}')


def _exporter(registry: Registry, to: str) -> ModelExporter:
    from visioncraft.errors import PluginError
    from visioncraft.plugins.contracts import ModelExporter

    found = [generator for generator in registry.generators.values() if isinstance(generator, ModelExporter)]
    for exporter in found:
        if exporter.exports == to:
            return exporter
    known = ", ".join(sorted(exporter.exports for exporter in found)) or "none"
    raise PluginError(f"No installed plugin exports to '{to}' (known: {known}); visioncraft-local-onnx does to onnx")
