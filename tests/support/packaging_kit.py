"""Wheels of everything, and environments that hold nothing of ours but wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import Parser
from importlib import metadata
from pathlib import Path

from harness import ROOT, SUPPORT, House
from packaging.requirements import Requirement
from wheel_builder import SDIST

LIBRARIES = sorted(path.parent for path in ROOT.glob("libs/*/pyproject.toml"))
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PROJECTS = [ROOT / "core", *LIBRARIES, *PLUGINS]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/**/pyproject.toml"))
LIGHT = ("core", "libs/diffusion", "plugins/gallery_fs", "plugins/local_onnx", "plugins/mini")
"""The folders of the install without torch."""
OURS = re.compile("visioncraft(-|$)")
BROUGHT = ("pip", "setuptools", "wheel")
"""What every environment has: pip, and what it builds with, since it fetches nothing."""

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_BUILD_ISOLATION": "false"}


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """A folder with wheels and sdists of all distributions, and wheels of the examples.

    Args:
        folder: Where they are.
    """

    folder: Path

    def wheel(self, distribution: str) -> Path:
        """The wheel of a distribution by its name."""
        (found,) = self.folder.glob(f"{distribution.replace('-', '_')}-[0-9]*.whl")
        return found

    def sdist(self, distribution: str) -> Path:
        """The sdist of a distribution by its name."""
        (found,) = self.folder.glob(f"{distribution.replace('-', '_')}-[0-9]*.tar.gz")
        return found

    def needs(self, distribution: str, extra: str = "") -> list[str]:
        """What a wheel states that it needs of others, with an extra or without, and what ours among these need."""
        with zipfile.ZipFile(self.wheel(distribution)) as wheel:
            info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            stated = Parser().parsestr(wheel.read(info).decode(), headersonly=True).get_all("Requires-Dist", [])
        found = [Requirement(each) for each in stated]
        here = [each for each in found if each.marker is None or each.marker.evaluate({"extra": extra})]
        ours = [each.name for each in here if OURS.match(each.name)]
        return [str(each) for each in here if each.name not in ours] + [
            need for name in ours for need in self.needs(name)
        ]

    def environment(self, folder: Path, *names: str, beside: Sequence[str] = (), empty: bool = False) -> Path:
        """A virtual environment with these distributions from their wheels; answers its interpreter.

        Args:
            folder: Where to make it.
            names: The distributions.
            beside: What else of this environment is installed there, as requirements.
            empty: Whether what they need is fetched from the registry, instead of found in this environment.
        """
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        python = folder / "bin" / "python"
        if not empty:
            site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
            third_party = folder / "third_party"
            needs = [need for name in names for need in self.needs(name)]
            _link(third_party, _needed([*BROUGHT, *beside, *needs]))
            (site / "third_party.pth").write_text(f"{third_party}\n", "utf-8")
        options = ["--constraint", str(ROOT / "constraints.txt")] if empty else []
        done = self.install(python, *names, options=options, env={} if empty else OFFLINE)
        assert done.returncode == 0, done.stderr
        return python

    def install(
        self, python: Path, *names: str, options: Sequence[str] = (), env: Mapping[str, str] = OFFLINE
    ) -> subprocess.CompletedProcess[str]:
        """Install these distributions' wheels, as an author's users do: what a wheel does not state is missed.

        The libraries of ours that they state come from the wheelhouse too.
        """
        wheels = ["--find-links", str(self.folder), *(str(self.wheel(name)) for name in names)]
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *options, *wheels]
        return subprocess.run(pip, capture_output=True, text=True, env={**os.environ, **env})


def build_everything(folder: Path) -> Wheelhouse:
    """Wheel and sdist of every distribution, the wheel from the sdist; of the examples the wheel."""
    made, sources = folder / "made", folder / "sources"
    made.mkdir()
    orders = []
    for project in (*PROJECTS, *EXAMPLES):  # copies: setuptools leaves its traces where it builds
        copy = shutil.copytree(project, sources / project.name, ignore=shutil.ignore_patterns("build", "*.egg-info"))
        orders.append(f"{copy}{SDIST if project in PROJECTS else ''}")
    tools = folder / "tools"  # alone: setuptools reads the entry points of everything that is installed
    _link(tools, _needed(BROUGHT))
    builder = [sys.executable, "-S", str(SUPPORT / "wheel_builder.py"), str(made), *orders]
    done = subprocess.run(builder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tools)})
    assert done.returncode == 0, done.stdout + done.stderr
    return Wheelhouse(made)


def clone(python: Path, folder: Path) -> Path:
    """A virtual environment with what another holds; answers its interpreter."""
    original = python.parent.parent
    shutil.copytree(original, folder, symlinks=True)
    for script in (folder / "bin").iterdir():
        if not script.is_symlink():
            script.write_text(script.read_text("utf-8").replace(str(original), str(folder)), "utf-8")
    return folder / "bin" / python.name


def _needed(requirements: Iterable[str]) -> Iterator[metadata.Distribution]:
    """What of this environment meets these requirements, and theirs in turn; nothing of ours."""
    met: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            if OURS.match(wanted.name) or (wanted.name, extra) in met:
                continue
            met.add((wanted.name, extra))
            found = metadata.distribution(wanted.name)
            yield found
            further = [Requirement(each) for each in found.requires or ()]
            waiting += [each for each in further if each.marker is None or each.marker.evaluate({"extra": extra})]


def _link(folder: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Put into a folder what these have in site-packages."""
    folder.mkdir()
    for each in distributions:
        tops = {
            line.partition("/")[0].partition(",")[0].strip('"')
            for line in (each.read_text("RECORD") or "").splitlines()
        }
        for top in tops - {"..", "__pycache__"}:
            link = folder / top
            if not top.endswith(".pth") and not link.is_symlink():
                link.symlink_to(str(each.locate_file(top)))


def house_of(folder: Path, python: Path, plugins: Iterable[str], **env: str) -> House:
    """A house whose command is that of another environment, with these plugins alone."""
    folder.mkdir(exist_ok=True)
    tables: dict[str, Mapping[str, object]] = {"plugins": {"enabled": list(plugins)}}
    return House(folder, tables, {**OFFLINE, **env}, cli=str(python.with_name("visioncraft")))


def write_wheel(
    folder: Path, name: str, version: str, source: str, requires: Sequence[str] = (), plugin: str | None = None
) -> Path:
    """A wheel of one module, written by hand: as `pip` reads it, without a build.

    Args:
        folder: Where to put it.
        name: The distribution; the module has its name.
        source: The module's text.
        requires: What it needs.
        plugin: The entry point's name.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    told = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {each}" for each in requires),
    ]
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": "\n".join(told) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if plugin is not None:
        files[f"{info}/entry_points.txt"] = f"[visioncraft]\n{plugin} = {module}\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
