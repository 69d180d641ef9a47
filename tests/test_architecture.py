"""Arrows run one way: who may import whom, read from the sources and from a serving process."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import visioncraft
from harness import ROOT, House
from packaging.requirements import Requirement
from visioncraft.plugins.distributions import OURS

CORE = ROOT / "core" / "visioncraft"
LIBRARIES = sorted(path.parent for path in ROOT.glob("libs/*/pyproject.toml"))
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
HEAVY = {"torch", "diffusers", "transformers", "accelerate", "scipy", "onnxruntime"}
WEB = {"fastapi", "starlette", "fastapi_offline"}


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the module it names, the name it takes from there, and what it costs."""

    file: Path
    module: str
    name: str | None
    for_types_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        taken = f" takes {self.name} from" if self.name else " imports"
        return f"{self.file.relative_to(ROOT)}{taken} {self.module}"


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, those inside functions too."""
    tree = ast.parse(file.read_text("utf-8"))
    typing_only = {id(node) for guard in ast.walk(tree) if is_type_guard(guard) for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, alias.name, None, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield from (Import(file, str(node.module), alias.name, id(node) in typing_only) for alias in node.names)


def is_type_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def all_imports(folder: Path) -> list[Import]:
    found = [each for file in sorted(folder.rglob("*.py")) for each in imports(file)]
    assert found, f"{folder} has no imports: is it still there?"
    return found


def test_every_room_imports_downward_only() -> None:
    """The layers of the core, of plugins and between them stand in pyproject.toml; `lint-imports` holds them."""
    command = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run([str(command), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


def test_every_library_and_plugin_is_among_those_whose_imports_are_held() -> None:
    held = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["root_packages"]
    assert set(held) == {"visioncraft", *(f"visioncraft_{folder.name}" for folder in (*LIBRARIES, *PLUGINS))}


def test_only_the_api_and_the_test_client_know_the_web_framework_and_only_settings_knows_dynaconf() -> None:
    found = [each for each in all_imports(CORE) if each.top in WEB and not each.for_types_only]
    parts = {each.file.relative_to(CORE).parts[0] for each in found}
    assert parts == {"api", "testing"}
    assert {each.file for each in all_imports(CORE) if each.top == "dynaconf"} == {CORE / "settings.py"}


@pytest.mark.parametrize("part", [*LIBRARIES, *PLUGINS], ids=lambda path: path.name)
def test_plugins_and_libraries_take_only_public_names_and_a_plugin_may_import_what_lies_in_libs(part: Path) -> None:
    own = f"visioncraft_{part.name}"
    known = {own, *(f"visioncraft_{library.name}" for library in LIBRARIES)}
    wrong = []
    for each in all_imports(part / own):
        if each.top == "visioncraft":
            public = each.module == "visioncraft"
            if not (public and each.name in visioncraft.__all__):
                wrong.append(str(each))
        elif each.top.startswith("visioncraft_") and each.top not in known:
            wrong.append(str(each))
    assert wrong == [], wrong


@pytest.mark.parametrize("part", [*LIBRARIES, *PLUGINS], ids=lambda path: path.name)
def test_what_a_distribution_imports_of_ours_it_depends_on(part: Path) -> None:
    own = f"visioncraft_{part.name}"
    project = tomllib.loads((part / "pyproject.toml").read_text("utf-8"))["project"]
    stated = {Requirement(each).name.replace("-", "_") for each in project["dependencies"]}
    imported = {each.top for each in all_imports(part / own) if each.top.startswith("visioncraft")} - {own}
    assert imported <= stated


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_a_library_is_named_alike_everywhere_and_is_no_plugin(library: Path) -> None:
    project = tomllib.loads((library / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == f"visioncraft-{library.name.replace('_', '-')}"
    assert "entry-points" not in project
    assert not (HEAVY | {"numpy"}) & {each.top for each in all_imports(library / f"visioncraft_{library.name}")}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_is_named_alike_everywhere(plugin: Path) -> None:
    project = tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == f"visioncraft-{plugin.name.replace('_', '-')}"
    assert project["name"] in OURS, "safe mode leaves it out"
    assert Requirement("visioncraft>=1.1,<2") in [Requirement(each) for each in project["dependencies"]]
    points = project["entry-points"]["visioncraft"]
    assert points == {plugin.name: f"visioncraft_{plugin.name}.plugin"}
    assert (plugin / f"visioncraft_{plugin.name}" / "plugin.py").is_file()


CONTRACTS = {"visioncraft_generators": "GeneratorContract", "visioncraft_stores": "ImageStoreContract"}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_is_held_by_the_contract_of_what_it_brings(plugin: Path) -> None:
    source = ast.parse((plugin / f"visioncraft_{plugin.name}" / "plugin.py").read_text("utf-8"))
    hooks = {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
    tests = [ast.parse(file.read_text("utf-8")) for file in (plugin / "tests").glob("test_*.py")]
    classes = [node for tree in tests for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    held = {ast.unparse(base) for each in classes if each.name.startswith("Test") for base in each.bases}
    assert [name for hook, name in CONTRACTS.items() if hook in hooks and name not in held] == []


def test_every_public_name_of_the_core_can_be_had() -> None:
    assert len(set(visioncraft.__all__)) == len(visioncraft.__all__)
    for name in visioncraft.__all__:
        assert getattr(visioncraft, name) is not None, name


SERVE = """
import sys
from fastapi.testclient import TestClient
from visioncraft.api.app import create_app
from visioncraft.settings import load_settings

with TestClient(create_app(load_settings()), base_url="http://localhost") as client:
    for path in ("/", "/health", "/status", "/models", "/gallery", "/plugins", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    print(*sorted(p["name"] for p in client.get("/plugins").json() if p["status"] == "active"))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_serving_imports_no_engine_until_a_model_is_needed(tmp_path: Path) -> None:
    house = House(tmp_path)
    outcome = subprocess.run(
        [sys.executable, "-c", SERVE], env=house.environment(), cwd=tmp_path, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    plugins, modules = (set(line.split()) for line in outcome.stdout.splitlines())
    assert {folder.name for folder in PLUGINS} <= plugins
    assert "fastapi" in modules
    assert modules & (HEAVY - {"scipy"}) == set()
