"""`visioncraft plugins info`: all that is known of one."""

from __future__ import annotations

from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any

import typer

from visioncraft.cli.output import print_json
from visioncraft.cli.plugins.entry_points import BUILT_IN, find
from visioncraft.cli.plugins.list_ import ask_everything, quietly_discovered
from visioncraft.cli.state import State
from visioncraft.plugins.distributions import core_requirement, installed_versions, unmet
from visioncraft.settings import INTERPRETER

if TYPE_CHECKING:
    from visioncraft.plugins.manager import PluginManager

_BROUGHT = {"generators": "name", "models": "id", "stores": "name", "commands": "name", "key_checks": "service"}


def show_one(state: State, name: str, as_json: bool) -> None:
    """Print one plugin. Raises `NotFound` that names the nearest."""
    manager = quietly_discovered(state)
    point = None if name == BUILT_IN else find(name, manager.settings)
    ask_everything(manager)
    facts = _of_plugin(manager, name) | _of_distribution(point.dist if point else None)
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if value not in (None, [], {}):
            typer.echo(f"{key + ':':<14}{_plain(value)}")


def _of_plugin(manager: PluginManager, name: str) -> dict[str, Any]:
    info, settings = manager.plugins[name], manager.settings
    table = {key: value for key, value in settings.plugins.config.get(name, {}).items() if key != INTERPRETER}
    python = settings.interpreter(name)
    return {
        "name": info.name,
        "status": info.status,
        "error": info.error,
        "distribution": info.distribution,
        "version": info.version,
        "interpreter": str(python) if python else None,
        "hooks": info.hooks,
        "brings": {kind: names for kind in _BROUGHT if (names := _brought(manager, name, kind))},
        "settings": table,
    }


def _brought(manager: PluginManager, name: str, kind: str) -> list[str]:
    info, hook = manager.plugins[name], f"visioncraft_{kind}"
    answers = manager.ask(name, hook) if info.status == "active" and hook in info.hooks else None
    return [str(getattr(each, _BROUGHT[kind])) for each in answers or ()]


def _of_distribution(distribution: Distribution | None) -> dict[str, Any]:
    if distribution is None:
        return {}
    told, made_for = distribution.metadata.json, core_requirement(distribution)
    lacking = unmet(distribution.name, distribution.version, distribution.requires or (), installed_versions())
    return {
        "summary": told.get("summary"),
        "author": told.get("author_email") or told.get("author"),
        "licence": told.get("license_expression") or told.get("license"),
        "homepage": told.get("project_url") or told.get("home_page"),
        "made for": str(made_for) if made_for and made_for.specifier else "any visioncraft: it states no version",
        "needs": distribution.requires or [],
        "lacks": [str(each) for each in lacking],
    }


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
