"""`visioncraft plugins`: what there is, and what to do about it. Each command's module is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visioncraft.cli.state import State

app = typer.Typer(
    help="List the plugins; write, install, check or switch one.", rich_markup_mode=None, add_completion=False
)
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
NameArgument = Annotated[str, typer.Argument(help="A plugin's name, as `visioncraft plugins` shows it.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback(invoke_without_command=True)
def plugins(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the plugins; write, install, check or switch one."""
    if ctx.invoked_subcommand is None:
        list_plugins(ctx, as_json)


@app.command("list")
def list_plugins(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the plugins, the broken ones with their reason."""
    from visioncraft.cli.plugins.list_ import show_all

    state: State = ctx.obj
    show_all(state, as_json)


@app.command()
def info(ctx: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one plugin: where it came from, what it brings, what it needs, what is wrong with it."""
    from visioncraft.cli.plugins.info import show_one

    state: State = ctx.obj
    show_one(state, name, as_json)


@app.command()
def check(ctx: typer.Context, name: NameArgument) -> None:
    """Hold an installed plugin by the contract. Nothing is paid for, and your pictures are not touched."""
    from visioncraft.cli.plugins.check import hold

    state: State = ctx.obj
    hold(state, name)


@app.command()
def install(
    ctx: typer.Context,
    what: Annotated[list[str], typer.Argument(help="What pip takes: a name, a folder, a wheel.")],
    isolated: Annotated[bool, typer.Option("--isolated", help="Into an environment of its own.")] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="The newest version that fits.")] = False,
    yes: YesOption = False,
) -> None:
    """Install a plugin: shows first what would change, and stops where another plugin would break."""
    from visioncraft.cli.plugins.install import Order, install_here, install_isolated

    state: State = ctx.obj
    order = Order(what, upgrade, yes)
    if isolated:
        install_isolated(state, order)
    else:
        install_here(state, order)


@app.command()
def remove(ctx: typer.Context, name: NameArgument, yes: YesOption = False) -> None:
    """Uninstall a plugin, with its own environment where it has one."""
    from visioncraft.cli.plugins.remove import remove_plugin

    state: State = ctx.obj
    remove_plugin(state, name, yes)


@app.command()
def enable(ctx: typer.Context, name: NameArgument) -> None:
    """Let a plugin load: off `plugins.disabled`, and onto `plugins.enabled` where that names any."""
    from visioncraft.cli.plugins.enable import switch

    state: State = ctx.obj
    switch(state, name, on=True)


@app.command()
def disable(ctx: typer.Context, name: NameArgument) -> None:
    """Keep a plugin from loading: onto `plugins.disabled` in the settings file."""
    from visioncraft.cli.plugins.enable import switch

    state: State = ctx.obj
    switch(state, name, on=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The new plugin's name: lower case, as `plasma`.")],
    kind: Annotated[str, typer.Option(help="generator, store or routes.")] = "generator",
    into: Annotated[Path, typer.Option(help="The folder to write it in.")] = Path(),
) -> None:
    """Write a plugin that passes its own tests at once."""
    from visioncraft.cli.plugins.new import write

    write(name, kind, into)
