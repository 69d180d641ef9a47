"""`visioncraft plugins new`: a plugin that is complete, and so small that every line of it is meant to be changed."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import typer

from visioncraft._version import PLUGIN_API
from visioncraft.errors import InvalidRequest

KINDS = ("generator", "store", "routes")

_COMMON = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "$module/__init__.py": "init.py.txt",
    "$module/py.typed": "py.typed.txt",
}
_OF_KIND = {"$module/plugin.py": "plugin.py.txt", "tests/test_$name.py": "test.py.txt"}


def write(name: str, kind: str, into: Path) -> None:
    """Write the plugin's folder. Raises `InvalidRequest` for a name that cannot be one, and for a folder in the way."""
    _check(name, kind)
    target = into / f"visioncraft-{name.replace('_', '-')}"
    if target.exists():
        raise InvalidRequest(f"{target} is there already", field="name", issue="choose another name, or another --into")
    words = {
        "name": name,
        "kind": kind,
        "module": f"visioncraft_{name}",
        "distribution": target.name,
        "title": name.replace("_", " ").capitalize(),
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "api": PLUGIN_API,
        "next": str(int(PLUGIN_API.partition(".")[0]) + 1),
    }
    for path, text in _texts(kind).items():
        file = target / Template(path).substitute(words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words), "utf-8")
    steps = [
        f"cd {target}",
        "python -m pip install --editable '.[testing]'",
        "python -m pytest",
        f"visioncraft plugins check {name}",
    ]
    typer.echo("\n  ".join([f"{target} is written. Next:", *steps]))


def _check(name: str, kind: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise InvalidRequest(
            f"{name!r} cannot be a plugin's name",
            field="name",
            issue="lower case letters, digits and single _, as `my_plasma`",
        )
    if kind not in KINDS:
        raise InvalidRequest(f"There is no kind {kind!r}", field="kind", issue=f"--kind is one of: {', '.join(KINDS)}")


def _texts(kind: str) -> dict[str, str]:
    """The templates by the path of the file they become."""
    folder = files("visioncraft.cli.plugins") / "templates"
    common = {path: (folder / template).read_text("utf-8") for path, template in _COMMON.items()}
    return common | {path: (folder / kind / template).read_text("utf-8") for path, template in _OF_KIND.items()}
