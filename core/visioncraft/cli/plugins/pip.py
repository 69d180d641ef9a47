"""pip, asked by the command line of the environment that is meant; its own resolver says what would change.

The report's format: https://pip.pypa.io/en/stable/reference/installation-report/ (version 1).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from visioncraft.errors import PluginError
from visioncraft.plugins.distributions import Unmet, installed, installed_versions, unmet

_TOLD = 6  # requirements of a conflict that are named
_QUIET = ("--disable-pip-version-check", "--no-input")


@dataclass(frozen=True, slots=True)
class Change:
    """One distribution that would be installed.

    Args:
        name, after: The distribution and its version.
        before: The version there is now; None where there is none.
        requested: Whether it was asked for, not only needed.
        requires: Its `Requires-Dist`.
    """

    name: str
    before: str | None
    after: str
    requested: bool
    requires: tuple[str, ...]


def plan(what: Sequence[str], upgrade: bool, python: Path | None = None) -> list[Change]:
    """What `pip install` would change, without changing it.

    Args:
        what: As pip takes it.
        upgrade: Whether to look for newer versions of what is there.
        python: The interpreter whose environment is meant; None for this one.

    Raises `PluginError` with pip's own reason where it finds no way.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        arguments = ["--dry-run", "--report", str(report), *_install_arguments(what, upgrade)]
        done = _pip(["install", *arguments], python, capture=True)
        if done.returncode:
            raise PluginError(f"pip cannot install {' '.join(what)}: {_conflict(done.stdout) or _reason(done.stderr)}")
        found = json.loads(report.read_text("utf-8"))
    if found["version"] != "1":
        raise PluginError(f"pip's report has the format {found['version']}, not 1: install the pip of constraints.txt")
    before = installed_versions() if python is None else {}
    return [_change(entry, before) for entry in found["install"]]


def install(what: Sequence[str], upgrade: bool, python: Path | None = None) -> None:
    """Install what a plan has shown. Raises `PluginError` where pip fails; pip has said why by then.

    pip's own warning of requirements that are not met is left out: the plan was held against them, and an environment
    of its own is there for a plugin that does not agree with them.
    """
    if _pip(["install", "--quiet", "--no-warn-conflicts", *_install_arguments(what, upgrade)], python).returncode:
        raise PluginError(f"pip could not install {' '.join(what)}; its reason stands above")


def uninstall(distribution: str) -> None:
    """Uninstall. Raises `PluginError` where pip fails; pip has said why by then."""
    if _pip(["uninstall", "--quiet", "--yes", distribution], None).returncode:
        raise PluginError(f"pip could not uninstall {distribution}; its reason stands above")


def would_break(changes: Sequence[Change]) -> list[Unmet]:
    """The requirements that are met now and would not be any more, or that a newcomer brings unmet."""
    before = installed_versions()
    after = before | {canonicalize_name(change.name): change.after for change in changes}
    changed: dict[str, Change] = {canonicalize_name(change.name): change for change in changes}
    known = {str(each) for each in _all_unmet(before, {})}
    return [each for each in _all_unmet(after, changed) if str(each) not in known]


def needed_by_others(distribution: str) -> list[Unmet]:
    """The requirements that would not be met without a distribution."""
    before = installed_versions()
    gone = canonicalize_name(distribution)
    after = {name: version for name, version in before.items() if name != gone}
    known = {str(each) for each in _all_unmet(before, {})}
    others = [each for each in _all_unmet(after, {}) if canonicalize_name(each.distribution) != gone]
    return [each for each in others if str(each) not in known]


def _all_unmet(versions: Mapping[str, str], changed: Mapping[str, Change]) -> Iterator[Unmet]:
    for name, each in installed().items():
        if name not in changed:
            yield from unmet(each.name, each.version, each.requires or (), versions)
    for change in changed.values():
        yield from unmet(change.name, change.after, change.requires, versions)


def _change(entry: Mapping[str, Any], before: Mapping[str, str]) -> Change:
    metadata = entry["metadata"]
    name = str(metadata["name"])
    return Change(
        name=name,
        before=before.get(canonicalize_name(name)),
        after=str(metadata["version"]),
        requested=bool(entry["requested"]),
        requires=tuple(metadata.get("requires_dist", ())),
    )


def _install_arguments(what: Sequence[str], upgrade: bool) -> list[str]:
    return [*(["--upgrade"] if upgrade else []), "--", *what]


def _pip(arguments: Sequence[str], python: Path | None, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """This environment's pip, for another environment where one is named: that one needs none of its own."""
    command = [sys.executable, "-m", "pip", *_QUIET, *(["--python", str(python)] if python else []), *arguments]
    return subprocess.run(command, capture_output=capture, text=True, check=False)  # noqa: S603 - our interpreter


def _conflict(said: str) -> str | None:
    """Which requirements pip could not meet together, as it tells on stdout; None where that was not its trouble.

    What the resolver took into account binds everywhere: the core is in an environment of its own too.
    """
    _, found, told = said.partition("The conflict is caused by:\n")
    if not found:
        return None
    lines = list(dict.fromkeys(line.strip() for line in told.partition("\n\n")[0].splitlines() if line.strip()))
    more = f" and {len(lines) - _TOLD} more" if len(lines) > _TOLD else ""
    return (
        f"{'; '.join(lines[:_TOLD])}{more}. No environment has both, one of its own (--isolated) with the same core "
        "neither: look for another version of the plugin, or ask its author to widen what it needs"
    )


def _reason(said: str) -> str:
    """pip's errors in one line."""
    errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    return "; ".join(errors) or " ".join(said.split())[-300:] or "it did not say why"
