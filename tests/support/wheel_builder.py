"""A program that builds distributions: `python wheel_builder.py OUT PROJECT...`, `+sdist` behind those that want one.

It calls each project's build backend as `python -m build` does (PEP 517), and leaves out what that spends a second on
for each step: an interpreter of its own that imports setuptools. Here one imports it, and forks.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
import tomllib
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SDIST = "+sdist"
STORED = {"--build-option": "--compression=stored"}
"""Nobody keeps these wheels, and the weights do not get smaller."""


def build(project: str, out: str) -> None:
    """A wheel; where an sdist is asked for too, the wheel is built from what that holds."""
    folder = Path(project.removesuffix(SDIST))
    os.chdir(folder)
    backend = _backend(folder)
    if project.endswith(SDIST):
        packed = backend.build_sdist(out)
        with tempfile.TemporaryDirectory() as room, tarfile.open(Path(out, packed)) as archive:
            archive.extractall(room, filter="data")
            os.chdir(Path(room, packed.removesuffix(".tar.gz")))
            backend.build_wheel(out, STORED)
            os.chdir(out)
    else:
        backend.build_wheel(out, STORED)


def _backend(folder: Path) -> Any:
    """The module that `pyproject.toml` names."""
    system = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["build-system"]
    return import_module(system["build-backend"])


if __name__ == "__main__":
    import_module("setuptools.build_meta")  # once, for all that are forked
    # One process a project: setuptools remembers what it has built.
    with get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        pool.starmap(build, [(project, sys.argv[1]) for project in sys.argv[2:]], chunksize=1)
