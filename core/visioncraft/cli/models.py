"""`visioncraft models`: what can draw, what could, and how to get it; `weights` has what lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli import export, weights
from visioncraft.cli.output import print_json, print_table, say
from visioncraft.cli.state import State
from visioncraft.cli.weights import JsonOption, print_parts, shown, size

if TYPE_CHECKING:
    from visioncraft.plugins.contracts import Generator
    from visioncraft.plugins.registry import Registry
    from visioncraft.types.models import Limits, ModelInfo, StoredModel

app = typer.Typer(help="List the models, fetch, add or remove one.", rich_markup_mode=None, add_completion=False)
app.command("add")(weights.add)
app.command("remove")(weights.remove)
app.command("info")(weights.info)
app.command("export")(export.export)


@app.callback(invoke_without_command=True)
def models(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the models, fetch, add or remove one."""
    if ctx.invoked_subcommand is None:
        list_models(ctx, as_json)


@app.command("list")
def list_models(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all models known, those without weights too, and the parts they can draw with."""
    state: State = ctx.obj
    registry = state.registry()
    known = [_facts(registry, model) for model in registry.models()]
    parts = [part for writer in registry.keepers() for part in writer.parts()]
    if as_json:
        print_json(known + [_part_facts(part) for part in parts])
    elif known or parts:
        _print(known)
        print_parts(parts)
    else:
        typer.echo("No plugin offers a model; `visioncraft plugins` shows which plugins there are.", err=True)


@app.command()
def pull(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A model's id, or on huggingface.co owner/name or owner/name/file.safetensors.")
    ],
) -> None:
    """Download a model's weights, or a part for models; an interrupted download goes on where it stopped."""
    from visioncraft.types.models import StoredModel

    state: State = ctx.obj
    registry = state.registry()
    known = registry.known(model)
    if known is not None and known.available:
        say(f"{known.id} is already here" + (f": {known.source}" if known.source else ""))
        return
    fetcher: Any = _fetcher(registry, known, model)
    with shown("connecting", f"visioncraft models pull {model} goes on where it stopped") as progress:
        fetched = fetcher.pull(known.id if known else model, progress)
    if isinstance(fetched, StoredModel) and fetched.kind != "checkpoint":
        say(f"{fetched.id} is here: a {fetched.kind} for {fetched.base or 'any model'}, {size(fetched.size)}")
    else:
        say(f'{fetched.id} is ready: visioncraft generate "a red apple" --model {fetched.id}')


def _fetcher(registry: Registry, known: ModelInfo | None, name: str) -> Generator:
    from visioncraft.errors import ModelNotAvailable

    for generator in registry.generators.values():
        runs_it = known is None or known.engine == generator.name or known.engine in generator.engines
        if runs_it and callable(getattr(generator, "pull", None)):
            return generator
    hint = "no installed plugin can fetch it; pip install visioncraft-local-sd brings one that fetches from the hub"
    raise ModelNotAvailable(name, [model.id for model in registry.available()], hint)


def _facts(registry: Registry, model: ModelInfo) -> dict[str, Any]:
    default = registry.default_model()
    return {
        "id": model.id,
        "name": model.name,
        "names": model.aliases,
        "engine": model.engine,
        "kind": model.kind,
        "quality": model.quality,
        "vram_required": model.vram_required,
        "description": model.description,
        "available": any(model is usable for usable in registry.available()),
        "default": model is default,
        "suggestion": model.suggestion,
        "needs": model.needs,
        "source": model.source,
        "limits": _limits(model.limits),
        "abilities": sorted(model.abilities),
        "defaults": model.defaults.fields(),
        "samplers": model.samplers,
        "parameters": {each.name: each.schema() for each in model.parameters},
        "engines": model.engines,
        "licence": model.licence,
    }


def _part_facts(part: StoredModel) -> dict[str, Any]:
    return {
        "id": part.id,
        "names": part.aliases,
        "kind": part.kind,
        "base": part.base,
        "size": part.size,
        "source": part.path,
        "trouble": part.trouble,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "steps": limits.steps,
        "guidance_scale": limits.guidance_scale,
        "size_multiple": limits.size_multiple,
        "min_resolution": limits.min_resolution,
        "max_resolution": limits.max_resolution,
    }


def _print(shown: list[dict[str, Any]]) -> None:
    headings = ("Model", "Name", "Engine", "Can draw", "Steps", "Guidance", "Largest", "Sizes in", "Memory")
    print_table(headings, [_row(model) for model in shown])
    if any(model["default"] for model in shown):
        typer.echo("* draws when a request names no model")
    for model in shown:
        if model["available"] and model["needs"]:
            say(f"{model['id']} draws once it has what it needs: {model['needs']}")
        elif not model["available"]:
            fetch = model["suggestion"] or f"install a plugin that runs the engine '{model['engine']}'"
            say(f"To get {model['id']}: {fetch}")


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    limits = model["limits"]
    return (
        model["id"] + (" *" if model["default"] else ""),
        model["name"],
        model["engine"],
        _can_draw(model),
        "-".join(f"{bound}" for bound in limits["steps"]),
        "-".join(f"{bound:g}" for bound in limits["guidance_scale"]),
        "x".join(f"{side}" for side in limits["max_resolution"]),
        f"{limits['size_multiple']} px",
        model["vram_required"],
    )


def _can_draw(model: dict[str, Any]) -> str:
    if not model["available"]:
        return "no"
    return "not yet" if model["needs"] else "yes"
