"""docs/plugins.md: its tutorial is run from top to bottom, and its reference is the code's own."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import visioncraft
from harness import ROOT
from markdown_it import MarkdownIt
from packaging_kit import OFFLINE, Wheelhouse, house_of
from PIL import Image
from visioncraft import testing
from visioncraft.plugins import contracts, hookspecs
from visioncraft.settings import PluginsSettings
from visioncraft.testing import PATIENCE_S

PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
EXAMPLES = ROOT / "examples"
BLOCKS = [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
SHELL = [token.content for token in BLOCKS if token.info == "bash"]
PYTHON = [token.content for token in BLOCKS if token.info == "python"]


@pytest.fixture(scope="module")
def desk(wheelhouse: Wheelhouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newcomer's folder with the core and the gallery installed from wheels, and the settings file.

    Nothing can be fetched, so what the tutorial has pip install is there before, and nothing beside it.
    """
    folder = tmp_path_factory.mktemp("newcomer")
    tools = [*wheelhouse.needs("visioncraft", "testing"), "build", "twine"]
    wheelhouse.environment(folder / "venv", "visioncraft", "visioncraft-gallery-fs", beside=tools)
    return folder


def run(desk: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in bash with the environment active, offline; the first command that fails ends it."""
    python = desk / "venv" / "bin" / "python"
    env = house_of(desk, python, []).environment() | OFFLINE
    env["PATH"] = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=desk,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_the_tutorial_runs_from_nothing_to_wheels_that_can_be_published(desk: Path) -> None:
    """The blocks in one shell, as a reader types them; `cd ..` stands between the two chapters."""
    tutorial = "\n".join(SHELL[:4])
    done = run(desk, f"{tutorial}\ncd ..\n" + "\n".join(SHELL[4:]))
    assert done.returncode == 0, done.stdout + done.stderr
    plugin = desk / "visioncraft-aurora"
    assert Image.open(plugin / "aurora.png").size == (256, 256)
    assert sorted(file.suffix for file in (plugin / "dist").iterdir()) == [".gz", ".whl"]
    assert "aurora keeps the contract" in done.stdout
    assert "safe mode" in done.stdout, "the last block shows the plugin left out"


def test_every_tool_that_the_tutorial_runs_was_installed_by_an_earlier_line_of_it() -> None:
    """The environment of these tests has them all; a newcomer's has none."""
    extra = [each for each in metadata.requires("visioncraft") or () if "extra == " in each and "testing" in each]
    brought = {re.split(r"[^\w-]", each)[0] for each in extra}
    there: set[str] = set()
    for line in "\n".join(SHELL).splitlines():
        if " pip install " in line:
            there |= {*line.split(), *(brought if "[testing]" in line else ())}
        elif tool := re.match(r"python -m (\w+)", line):
            assert tool[1] in there, line
    assert {"pytest", "build", "twine"} <= there


def test_the_tree_that_the_page_shows_is_the_tree_that_is_written(tmp_path: Path, desk: Path) -> None:
    assert run(desk, f"visioncraft plugins new aurora --into {tmp_path}").returncode == 0
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    (tree,) = [token.content for token in BLOCKS if token.info == "text"]
    shown = [line.split()[0] for line in tree.splitlines()]
    assert written == {f"{shown[0]}{path}" for path in shown[1:]}


def test_the_python_blocks_are_a_plugin_and_a_test_that_pass(tmp_path: Path, desk: Path) -> None:
    contract = (
        "\nimport pytest\nfrom visioncraft.testing import GeneratorContract\n"
        "class TestAurora(GeneratorContract):\n"
        "    @pytest.fixture\n    def generator(self):\n        return Aurora()\n"
    )
    (tmp_path / "test_engine.py").write_text(PYTHON[0] + contract, "utf-8")
    (tmp_path / "test_override.py").write_text(f"import pytest\n{PYTHON[1]}", "utf-8")
    done = run(desk, f"python -m pytest -v -p no:cacheprovider --rootdir {tmp_path} {tmp_path}")
    assert done.returncode == 0, done.stdout
    for passed in ("test_engine.py::TestAurora::test_any_prompt", "test_override.py::TestOneColour::test_another_seed"):
        assert any(passed in line and "PASSED" in line for line in done.stdout.splitlines()), done.stdout


def definitions(source: str) -> dict[str, str]:
    """The functions of a source by name, each as its signature alone."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            found[node.name] = f"({ast.unparse(node.args)}) -> {ast.unparse(node.returns) if node.returns else ''}"
    return found


def shown_with(name: str) -> dict[str, str]:
    """The signatures of the page's blocks that show this function."""
    found: dict[str, str] = {}
    for block in PYTHON[2:]:
        if name in definitions(block):
            found |= definitions(block)
    return found


def test_every_hook_is_documented_with_its_real_signature_and_version() -> None:
    real = {name: sign for name, sign in definitions(inspect.getsource(hookspecs)).items() if "visioncraft_" in name}
    shown: dict[str, str] = {}
    for name in real:
        shown |= shown_with(name)
        said = PAGE.partition(f"def {name}(settings: Settings")[2].partition("```")[2].partition("```")[0]
        since = str(getattr(hookspecs, name).__doc__).partition(".. versionadded:: ")[2].split()[0]
        assert f"({since})" in said, name
    assert shown == real


@pytest.mark.parametrize(
    "contract",
    [contracts.Generator, contracts.ImageStore, visioncraft.Service, visioncraft.WorkerPool, visioncraft.Ledger],
)
def test_every_method_of_a_contract_is_documented_with_its_real_signature(contract: type) -> None:
    assert definitions(inspect.getsource(contract)) in [definitions(block) for block in PYTHON[2:]]


def test_every_setting_name_and_command_of_plugins_is_documented() -> None:
    from visioncraft.cli.plugins import app

    names = [f"`{key}`" for key in PluginsSettings.model_fields]
    names += [f"`{name}`" for name in testing.__all__]
    names += [f"plugins {command.name or command.callback.__name__}" for command in app.registered_commands]  # type: ignore[union-attr]
    missing = [name for name in names if name not in PAGE and name != "plugins list"]
    assert missing == []


def test_every_setting_has_a_comment() -> None:
    bare = list(uncommented((ROOT / "settings.toml").read_text("utf-8").splitlines()))
    assert bare == []


def uncommented(lines: list[str]) -> Iterator[str]:
    """Keys with no comment behind them nor above them or above the keys they stand with."""
    said = False
    for line in lines:
        if not line.strip() or line.startswith("["):
            said = False
        elif line.startswith("#"):
            said = True
        elif "  #" not in line and not said:
            yield line


def test_the_readmes_plugin_is_the_examples_very_files() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    shown = [token.content for token in MarkdownIt().parse(page) if token.type == "fence"]
    for file in (EXAMPLES / "visioncraft-plasma").glob("*.*"):
        assert file.read_text("utf-8") in shown, file.name


@pytest.mark.parametrize(("name", "kind"), [("shoebox", "store"), ("wall", "routes")])
def test_an_example_is_what_plugins_new_writes(name: str, kind: str, desk: Path, tmp_path: Path) -> None:
    assert run(desk, f"visioncraft plugins new {name} --kind {kind} --into {tmp_path}").returncode == 0
    written = {file.relative_to(tmp_path): file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file()}
    assert len(written) == 6
    assert written == {path: (EXAMPLES / path).read_text("utf-8") for path in written}


def test_the_examples_of_the_code_run() -> None:
    import doctest

    from visioncraft.testing.contracts import generator as generators

    outcomes = [doctest.testmod(module) for module in (hookspecs, generators)]
    assert [outcome.failed for outcome in outcomes] == [0, 0]
    assert all(outcome.attempted for outcome in outcomes)
    assert visioncraft.PLUGIN_API in PAGE
