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
from tomlkit import TOMLDocument

from visioncraft.cli.output import agree, print_table
from visioncraft.cli.plugins import pip
from visioncraft.cli.plugins.entry_points import names_of
from visioncraft.cli.plugins.settings_file import edit, own_table, settings_file
from visioncraft.cli.state import State
from visioncraft.errors import PluginError
from visioncraft.plugins.distributions import installed
from visioncraft.settings import INTERPRETER, load_settings
from visioncraft.workers.isolated import IsolatedPlugin

ENVIRONMENTS = ".venvs"
"""The folder of plugins' own environments, beside the settings file."""

_SERVER = "visioncraft_server.pth"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    Args:
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
    agree("Install? A plugin's code runs with all of your rights", order.yes)
    pip.install(order.what, order.upgrade)
    now = installed()
    _report(state, [now[canonicalize_name(change.name)] for change in changes if change.requested])


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
        agree("Install? A plugin's code runs with all of your rights", order.yes)
        draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    try:
        _remind(state, _settle(file, home, order))
    except BaseException:
        shutil.rmtree(home)
        raise


def plugins_in(home: Path) -> list[str]:
    """The plugins of an environment that `install_isolated` made. Raises `PluginError` for any other folder."""
    site = next(home.glob("lib/python*/site-packages"), home)
    if not (site / _SERVER).is_file():
        raise PluginError(f"{home} was not made by `visioncraft plugins install --isolated`")
    return [name for each in distributions(path=[str(site)]) for name in names_of(each)]


def _settle(file: Path, home: Path, order: Order) -> list[str]:
    """Install, prove that it can be asked from here, and only then name it in the settings. Answers the plugins."""
    pip.install(order.what, order.upgrade, _python(home))
    names = plugins_in(home)
    if not names:
        raise PluginError(f"{' '.join(order.what)} brings no plugin: it has no entry point of the group `visioncraft`")
    for name in names:
        hello = IsolatedPlugin(name, _python(home), load_settings(file)).hello
        if not hello.offers and not hello.models:
            raise PluginError(f"'{name}' brings neither a generator nor a model: nothing else can live apart")
    interpreter = _python(home).relative_to(file.parent).as_posix()
    edit(file, lambda document: _give_interpreter(document, names, interpreter))
    typer.echo(f"{', '.join(names)}: installed in {home}, named in {file}; a running server finds it at its next start")
    return names


def _give_interpreter(document: TOMLDocument, names: Sequence[str], interpreter: str) -> None:
    for name in names:
        own_table(document, name)[INTERPRETER] = interpreter


def _make_environment(folder: Path) -> None:
    """A virtual environment with the server's packages behind its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)  # noqa: S603 - ours
    behind = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})" for path in behind]
    site = next(folder.glob("lib/python*/site-packages"))
    (site / _SERVER).write_text("\n".join(lines) + "\n", "utf-8")


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _show(changes: Sequence[pip.Change]) -> None:
    rows = [(change.name, change.before or "", change.after) for change in changes]
    print_table(("Distribution", "Now", "Then"), rows)


def _report(state: State, come: Sequence[Distribution]) -> None:
    """What came, and what is still to do."""
    names = [name for each in come for name in names_of(each)]
    if not names:
        typer.echo("Installed, but it brings no plugin: it has no entry point of the group `visioncraft`", err=True)
        return
    typer.echo(f"{', '.join(names)}: installed; a running server finds it at its next start")
    _remind(state, names)


def _remind(state: State, names: Sequence[str]) -> None:
    """An allow-list keeps a newcomer from loading."""
    allowed = state.settings().plugins.enabled
    for name in names:
        if allowed and name not in allowed:
            typer.echo(f"plugins.enabled names only some: visioncraft plugins enable {name}")
