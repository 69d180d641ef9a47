"""`visioncraft plugins install`: first what would change, then the change."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

import typer
from packaging.utils import canonicalize_name

from visioncraft.cli.output import print_table
from visioncraft.cli.plugins import pip
from visioncraft.cli.plugins.finding import names_of
from visioncraft.cli.plugins.settings_file import edit, own_table, settings_file
from visioncraft.cli.state import State
from visioncraft.errors import PluginError
from visioncraft.isolated import IsolatedPlugin
from visioncraft.settings import INTERPRETER, load_settings

ENVIRONMENTS = ".venvs"
"""The folder of plugins' own environments, beside the settings file."""

_SERVER = "visioncraft_server.pth"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    Parameters
    ----------
    what: As pip takes it.
    upgrade: Whether to look for newer versions of what is there.
    yes: Whether not to ask.
    """

    what: list[str]
    upgrade: bool
    yes: bool


def install_here(state: State, order: Order) -> None:
    """Install into the server's environment, unless that would break something there.

    Raises `PluginError` with what would break and the way out; then nothing has changed.
    """
    changes = pip.plan(order.what, order.upgrade)
    if not changes:
        typer.echo("Nothing to do: it is installed (--upgrade looks for a newer version)")
        return
    _show(changes)
    broken = pip.would_break(changes)
    if broken:
        raise PluginError(
            f"this would break {'; '.join(map(str, broken))}. Nothing was changed; next: visioncraft plugins install "
            f"--isolated {' '.join(order.what)} gives it an environment of its own"
        )
    _agree(order)
    pip.install(order.what, order.upgrade)
    asked = {canonicalize_name(change.name) for change in changes if change.requested}
    _report(state, [each for each in distributions() if canonicalize_name(each.name) in asked])


def install_isolated(state: State, order: Order) -> None:
    """Install into an environment of its own, and write its interpreter into the settings file.

    The server's packages stand behind the environment's own: the core is the server's, always of the same version,
    and only what the plugin needs otherwise is installed twice.

    Raises `PluginError` or `ConfigurationError`; then no environment is left and the settings are as they were.
    """
    file = settings_file(state)
    folder = file.parent / ENVIRONMENTS
    folder.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        _make_environment(draft)
        changes = pip.plan(order.what, order.upgrade, _python(draft))
        name = next((change.name for change in changes if change.requested), None)
        if name is None:
            raise PluginError(f"{' '.join(order.what)} is installed in the server's own environment: remove it first")
        home = folder / canonicalize_name(name)
        if home.exists():
            raise PluginError(f"{home} is there already: visioncraft plugins remove the plugin in it first")
        _show(changes)
        _agree(order)
        draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    try:
        _settle(file, home, order)
    except BaseException:
        shutil.rmtree(home)
        raise


def site_of(home: Path) -> Path:
    """An environment's folder of packages."""
    (found,) = home.glob("lib/python*/site-packages")
    return found


def _settle(file: Path, home: Path, order: Order) -> None:
    """Install, prove that it can be asked from here, and only then name it in the settings."""
    pip.install(order.what, order.upgrade, _python(home))
    names = [name for each in distributions(path=[str(site_of(home))]) for name in names_of(each)]
    if not names:
        raise PluginError(f"{' '.join(order.what)} brings no plugin: it has no entry point of the group `visioncraft`")
    for name in names:
        hello = IsolatedPlugin(name, _python(home), load_settings(file)).hello
        if not hello.offers and not hello.models:
            raise PluginError(f"'{name}' brings neither a generator nor a model: nothing else can live apart")
    interpreter = _python(home).relative_to(file.parent).as_posix()
    for name in names:
        edit(file, lambda document, name=name: own_table(document, name).update({INTERPRETER: interpreter}))  # type: ignore[misc]
    typer.echo(f"{', '.join(names)}: installed in {home}, named in {file}; a running server finds it at its next start")


def _make_environment(folder: Path) -> None:
    """A virtual environment with the server's packages behind its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)  # noqa: S603 - ours
    behind = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})" for path in behind]
    (site_of(folder) / _SERVER).write_text("\n".join(lines) + "\n", "utf-8")


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _show(changes: Sequence[pip.Change]) -> None:
    rows = [(change.name, change.before or "", change.after) for change in changes]
    print_table(("Distribution", "Now", "Then"), rows)


def _agree(order: Order) -> None:
    if not order.yes and not typer.confirm("Install? A plugin's code runs with all of your rights", err=True):
        raise typer.Exit(1)


def _report(state: State, installed: Sequence[Distribution]) -> None:
    """What came, and what is still to do."""
    names = [name for each in installed for name in names_of(each)]
    if not names:
        typer.echo("Installed, but it brings no plugin: it has no entry point of the group `visioncraft`", err=True)
        return
    typer.echo(f"{', '.join(names)}: installed; a running server finds it at its next start")
    allowed = state.settings().plugins.enabled
    for name in names:
        if allowed and name not in allowed:
            typer.echo(f"plugins.enabled names only some: visioncraft plugins enable {name}")
