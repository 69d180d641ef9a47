"""The command `visioncraft`: one module per noun.

`visioncraft --help` answers within 0.2 s, so these modules import typer alone at the top. Whatever else a command needs
(settings, plugins, rich, uvicorn) it imports when it runs.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from visioncraft._version import __version__
from visioncraft.cli import api_key, generate, jobs, keys, models, plugins, serve, status
from visioncraft.cli.group import PluginGroup
from visioncraft.cli.state import State
from visioncraft.environment import SECRETS
from visioncraft.logs import configure_logging

app = typer.Typer(
    name="visioncraft",
    cls=PluginGroup,
    help="VisionCraft Pro: one image-generation service in front of every engine.",
    epilog="Plugins may bring further commands; `visioncraft plugins` names them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("generate")(generate.generate)
app.add_typer(models.app, name="models")
app.add_typer(jobs.app, name="jobs")
app.add_typer(plugins.app, name="plugins")
app.command("status")(status.status)
app.add_typer(keys.app, name="keys")
app.command("api-key")(api_key.api_key)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"visioncraft {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    settings: Annotated[
        Path | None, typer.Option(envvar="VISIONCRAFT_SETTINGS", help="The settings file; else ./settings.toml.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything; show tracebacks.")] = False,
    safe_mode: Annotated[bool, typer.Option("--safe-mode", help="Load VisionCraft's own plugins only.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")] = (
        False
    ),
) -> None:
    configure_logging(verbose)
    ctx.obj = State(settings, verbose, safe_mode)


def main() -> None:
    """Run the command line. An error is one line that names the next step; a traceback is shown with `-v` only."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that is not UTF-8 shows a sign in place of an emoji
            stream.reconfigure(errors="replace")
    SECRETS.hide()  # before any plugin's code or worker runs
    try:
        app()
    except Exception as error:
        import logging

        from visioncraft.cli.output import describe

        if logging.getLogger("visioncraft").isEnabledFor(logging.DEBUG):
            raise
        typer.echo(f"Error: {describe(error)}", err=True)
        sys.exit(1)
