"""Arrows run one way (DESIGN 1): who may import whom, read from the sources and from a serving process."""

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
from visioncraft.distributions import OURS

CORE = ROOT / "core" / "visioncraft"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
HEAVY = {"torch", "diffusers", "transformers", "accelerate", "scipy", "onnxruntime"}
WEB = {"fastapi", "starlette", "fastapi_offline"}

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"printing", "environment"}),
    frozenset({"bars", "errors", "ids", "lifeline", "logs", "openmp", "editing", "models", "files"}),
    frozenset({"types", "shelf", "running", "naming", "token"}),
    frozenset({"contracts"}),
    frozenset({"metadata", "device", "settings", "hookspecs", "wire", "search"}),
    frozenset({"pixels"}),
    frozenset({"images", "stores", "keys", "spawn", "zipping"}),
    frozenset({"inputs", "tags", "isolated", "answers", "builtin", "distributions"}),
    frozenset({"decoding"}),
    frozenset({"requests"}),
    frozenset({"claims"}),
    frozenset({"plugins"}),
    frozenset({"worker", "pools", "probing"}),
    frozenset({"registry"}),
    frozenset({"jobs"}),
    frozenset({"runtime"}),
    frozenset({"status", "client", "warming"}),
    frozenset({"drawing"}),
    frozenset({"api"}),
    frozenset({"app", "serving"}),
    frozenset({"cli"}),
    frozenset({"testing"}),
)
"""The core from the ground up; a module imports from layers below its own, or from its own."""

LAZY_UPWARD = {("contracts", "images")}
"""Imports inside a function that point upward: `ImageStore.thumbnail`'s default draws with what stands on types."""

HOMES = {
    "visioncraft.settings",
    "visioncraft.types",
    "visioncraft.models",
    "visioncraft.contracts",
    "visioncraft.errors",
    "visioncraft.hookspecs",
}
"""Modules whose public names plugins may also take from there."""


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


def layer_of(part: str) -> int:
    """A part's layer; a new module of the core needs a place in LAYERS."""
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def part_of(each: Import) -> str | None:
    """Which part of the core an import leads to: `visioncraft.jobs.pool` is `jobs`; None for the package itself."""
    inside = each.module.split(".")[1:] or [each.name or ""]
    return inside[0] if (CORE / inside[0]).is_dir() or (CORE / f"{inside[0]}.py").is_file() else None


def test_every_module_of_the_core_has_a_layer() -> None:
    parts = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__"} == frozenset().union(*LAYERS)


def test_the_core_imports_downward_only() -> None:
    upward = []
    for each in all_imports(CORE):
        own, other = each.file.relative_to(CORE).parts[0].removesuffix(".py"), part_of(each)
        if each.top != "visioncraft" or other in (None, own) or own == "__init__" or each.for_types_only:
            continue
        if layer_of(str(other)) >= layer_of(own) and (own, other) not in LAZY_UPWARD:
            upward.append(str(each))
    assert upward == [], upward


def test_the_core_imports_no_plugin_and_no_engine() -> None:
    names = {folder.name for folder in PLUGINS}
    foreign = HEAVY | {f"visioncraft_{name}" for name in names}
    assert {"gallery_fs", "local_sd"} <= names
    assert [str(each) for each in all_imports(CORE) if each.top in foreign] == []


def test_only_api_app_and_the_test_client_know_the_web_framework_and_only_settings_knows_dynaconf() -> None:
    found = [each for each in all_imports(CORE) if each.top in WEB and not each.for_types_only]
    parts = {each.file.relative_to(CORE).parts[0] for each in found}
    assert parts == {"api", "app.py", "testing"}
    assert {each.file for each in all_imports(CORE) if each.top == "dynaconf"} == {CORE / "settings.py"}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_takes_only_public_names_and_knows_no_other_plugin(plugin: Path) -> None:
    own = f"visioncraft_{plugin.name}"
    wrong = []
    for each in all_imports(plugin / own):
        if each.top == "visioncraft":
            public = each.module == "visioncraft" or each.module in HOMES
            if not (public and each.name in visioncraft.__all__):
                wrong.append(str(each))
        elif each.top.startswith("visioncraft_") and each.top != own:
            wrong.append(str(each))
    assert wrong == [], wrong


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_is_named_alike_everywhere(plugin: Path) -> None:
    project = tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == f"visioncraft-{plugin.name.replace('_', '-')}"
    assert project["name"] in OURS, "safe mode leaves it out"
    assert Requirement("visioncraft>=1.0,<2") in [Requirement(each) for each in project["dependencies"]]
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
from visioncraft.app import create_app
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
