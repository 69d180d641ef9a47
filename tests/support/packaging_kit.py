"""Wheels of everything, and environments that hold nothing of ours but wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, House

LIBRARIES = sorted(path.parent for path in ROOT.glob("libs/*/pyproject.toml"))
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PROJECTS = [ROOT / "core", *LIBRARIES, *PLUGINS]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/**/pyproject.toml"))
LIGHT = ("core", "libs/diffusion", "plugins/gallery_fs", "plugins/local_onnx", "plugins/mini")
"""The folders of the install without torch."""

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_BUILD_ISOLATION": "false"}


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """A folder with wheels and sdists of all distributions, and wheels of the examples.

    Parameters
    ----------
    folder: Where they are.
    third_party: Every package of this environment but ours, by links.
    """

    folder: Path
    third_party: Path

    def wheel(self, distribution: str) -> Path:
        """The wheel of a distribution by its name."""
        (found,) = self.folder.glob(f"{distribution.replace('-', '_')}-[0-9]*.whl")
        return found

    def sdist(self, distribution: str) -> Path:
        """The sdist of a distribution by its name."""
        (found,) = self.folder.glob(f"{distribution.replace('-', '_')}-[0-9]*.tar.gz")
        return found

    def environment(self, folder: Path, *names: str, empty: bool = False) -> Path:
        """A virtual environment with these distributions from their wheels; answers its interpreter.

        Parameters
        ----------
        folder: Where to make it.
        names: The distributions.
        empty: Whether what they need is fetched from the registry, instead of found among the third-party packages.
        """
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        python = folder / "bin" / "python"
        if not empty:
            site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
            (site / "third_party.pth").write_text(f"{self.third_party}\n", "utf-8")
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
    made = folder / "made"
    made.mkdir()
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(_build, project, made) for project in PROJECTS]:
            done.result()
    copies = [shutil.copytree(example, folder / "examples" / example.name) for example in EXAMPLES]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made), *map(str, copies)]
    subprocess.run(pip, check=True, env={**os.environ, **OFFLINE})
    return Wheelhouse(made, _third_party(folder / "third_party"))


def _build(project: Path, into: Path) -> None:
    """From a copy: setuptools leaves its traces where it builds."""
    copy = shutil.copytree(project, into.parent / "sources" / project.name, ignore=shutil.ignore_patterns("build"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _third_party(folder: Path) -> Path:
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        ours = path.name.lower().startswith(("visioncraft", "__editable__"))
        if not ours and path.suffix != ".pth" and path.name != "__pycache__":
            (folder / path.name).symlink_to(path)
    return folder


def house_of(folder: Path, python: Path, plugins: Iterable[str], **env: str) -> House:
    """A house whose command is that of another environment, with these plugins alone."""
    folder.mkdir(exist_ok=True)
    tables: dict[str, Mapping[str, object]] = {"plugins": {"enabled": list(plugins)}}
    return House(folder, tables, {**OFFLINE, **env}, cli=str(python.with_name("visioncraft")))


def write_wheel(
    folder: Path, name: str, version: str, source: str, requires: Sequence[str] = (), plugin: str | None = None
) -> Path:
    """A wheel of one module, written by hand: as `pip` reads it, without a build.

    Parameters
    ----------
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
