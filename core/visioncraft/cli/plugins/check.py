"""`visioncraft plugins check`: the contract, held against what is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from visioncraft._version import PLUGIN_API
from visioncraft.cli.plugins.entry_points import find
from visioncraft.cli.plugins.list_ import ask_everything, quietly_discovered
from visioncraft.cli.state import State
from visioncraft.errors import PluginError
from visioncraft.plugins.distributions import core_requirement, installed_versions, unmet
from visioncraft.settings import Settings

_VERDICTS = {0: "keeps the contract", 5: "offers neither a generator nor a store, so there is nothing to hold it by"}
"""By pytest's exit code: all passed, or there was no test."""


def hold(state: State, name: str) -> None:
    """Check what a plugin states, then run the contract's tests on what it offers, in a process of their own.

    Raises `PluginError` for one that does not serve, and where pytest is missing; exits with 1 where a test fails.
    """
    manager = quietly_discovered(state)
    settings = manager.settings
    problems = _stated(name, settings)
    ask_everything(manager)
    info = manager.plugins[name]
    if info.status != "active" or info.error:
        raise PluginError(f"{info.origin} {info.standing}")
    for problem in problems:
        typer.echo(f"! {problem}")
    _need_pytest()
    outcome = _run_contract(name, settings)
    typer.echo(f"{name} {_VERDICTS.get(outcome, 'breaks the contract')} (plugin API {PLUGIN_API})")
    if outcome not in _VERDICTS or problems:
        raise typer.Exit(1)


def _stated(name: str, settings: Settings) -> list[str]:
    point = find(name, settings)
    if point is None or point.dist is None:
        return []
    distribution = point.dist
    lacking = unmet(distribution.name, distribution.version, distribution.requires or (), installed_versions())
    problems = [str(each) for each in lacking]
    made_for = core_requirement(distribution)
    if made_for is None or not made_for.specifier:
        problems.append(
            f"{distribution.name} does not state which plugin API it was made for: "
            f'write "visioncraft>={PLUGIN_API},<{int(PLUGIN_API.partition(".")[0]) + 1}" among its dependencies'
        )
    return problems


def _need_pytest() -> None:
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("httpx") is None:
        raise PluginError("the contract's tests need pytest: pip install 'visioncraft[testing]'")


def _run_contract(name: str, settings: Settings) -> int:
    """pytest's exit code. An empty folder is the tests' own, so that no configuration of yours is met."""
    python = settings.interpreter(name) or sys.executable
    tests = [
        "-m",
        "pytest",
        "--pyargs",
        "visioncraft.testing.installed.suite",
        "-p",
        "visioncraft.testing.installed.pytest_plugin",
    ]
    quiet = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "--strict-config", "-W", "ignore"]
    environment = {key: value for key, value in os.environ.items() if key != "VISIONCRAFT_SETTINGS"}
    if settings.file:
        environment["VISIONCRAFT_SETTINGS"] = str(settings.file)
    with tempfile.TemporaryDirectory() as folder:
        places = ["--rootdir", folder, "--basetemp", str(Path(folder, "made")), "-c", os.devnull]
        command = [str(python), *tests, "--checked-plugin", name, *quiet, *places]
        return subprocess.run(command, env=environment, cwd=folder, check=False).returncode  # noqa: S603 - ours
