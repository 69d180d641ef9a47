"""Every command and snippet that the documentation shows is run, in the order of its page, with another port alone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked_command import environment_with_forked_command
from harness import ROOT, House, Server, addressed, free_port, listening
from markdown_it import MarkdownIt
from packaging_kit import LIGHT
from PIL import Image
from standin import KEY, StandIn
from visioncraft.testing import PATIENCE_S

PAGES = ("README.md", "docs/api.md", "docs/clients.md", "docs/editing.md", "docs/onnx.md")
SHOWN = ("toml", "text", "")
"""Blocks that are not commands: files, checked where they are used, and drawings."""
FIRST = '{"prompt": "red apple", "seed": 7}'
"""In the first command of the README that draws."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block with the paragraph before it, which may name a file."""

    page: str
    language: str
    text: str
    before: str


def blocks(page: str) -> Iterator[Block]:
    before = ""
    for token in MarkdownIt().parse((ROOT / page).read_text("utf-8")):
        if token.type == "inline":
            before = token.content
        elif token.type == "fence":
            yield Block(page, token.info.strip(), token.content, before)


def block_with(words: str, page: str = "README.md") -> Block:
    """The one block of a page that holds these words."""
    (found,) = [block for block in blocks(page) if words in block.text]
    return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a newcomer has it: `.venv`, and the plugin's files as the README names them."""
    desk = tmp_path_factory.mktemp("desk")
    plugin = desk / "visioncraft-plasma"
    plugin.mkdir()
    (plugin / "visioncraft_plasma.py").write_text(block_with("class Plasma").text)
    (plugin / "pyproject.toml").write_text(block_with('name = "visioncraft-plasma"').text)
    with environment_with_forked_command(desk / ".venv"):
        yield desk


def run(desk: Path, script: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a block in bash, where the first command that fails ends it."""
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=desk, env=env, capture_output=True, text=True)


def environment(desk: Path, **further: str) -> dict[str, str]:
    """The reader's shell after `. .venv/bin/activate`, with data of its own."""
    path = f"{desk / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return House(desk).environment() | {"PATH": path} | further


def with_leonardo(leonardo: StandIn) -> dict[str, str]:
    """The shell of a reader who has a key, where the stand-in takes Leonardo.ai's place."""
    table = "VISIONCRAFT_PLUGINS__CONFIG__LEONARDO__"
    hosts = {f"{table}BASE_URL": leonardo.base_url, f"{table}PRIVATE_HOSTS": '["127.0.0.1"]'}
    return {**hosts, "LEONARDO_API_KEY": KEY}


def is_plain(block: Block) -> bool:
    special = ("make ", "visioncraft serve", "models pull", "models export", "pip install", FIRST)
    return block.language == "bash" and not any(word in block.text for word in special)


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page) if is_plain(b)], ids=lambda b: b.text[:40])
def test_a_shell_block_runs_as_it_stands(block: Block, desk: Path, real: Server, leonardo: StandIn) -> None:
    outcome = run(
        desk,
        addressed(block.text, real),
        environment(desk, **with_leonardo(leonardo), VISIONCRAFT_URL=real.url),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert '"error":{' not in outcome.stdout


def test_the_first_curl_of_the_readme_leaves_a_picture(desk: Path, real: Server) -> None:
    block = block_with(FIRST)
    assert run(desk, addressed(block.text, real), environment(desk)).returncode == 0
    assert Image.open(desk / "apple.png").size == (512, 512)


def test_the_python_block_leaves_a_picture(desk: Path, real: Server) -> None:
    script = addressed(block_with("import requests").text, real)
    subprocess.run([sys.executable, "-c", script], cwd=desk, check=True)
    assert Image.open(desk / "star.png").size == (512, 512)


def test_the_python_block_on_editing_draws_over_a_picture(desk: Path, real: Server) -> None:
    Image.new("RGB", (256, 256), "red").save(desk / "apple.png")
    (block,) = [block for block in blocks("docs/editing.md") if block.language == "python"]
    subprocess.run([sys.executable, "-c", addressed(block.text, real)], cwd=desk, check=True)
    assert Image.open(desk / "green-too.png").size == (256, 256)


def test_the_python_block_for_openais_client_leaves_an_image(desk: Path, real: Server) -> None:
    script = addressed(block_with("from openai import OpenAI", "docs/clients.md").text, real)
    subprocess.run([sys.executable, "-c", script], cwd=desk, check=True)
    assert Image.open(desk / "green-apple.png").size == (256, 256)


@pytest.mark.parametrize(
    ("words", "image"),
    [
        ("import InferenceClient", "hf-green-apple.png"),
        ("from google import genai", "gemini-apple.png"),
        ("from mcp import Client", "mcp-apple.png"),
        ("from webuiapi import WebUIApi", "large-apple.png"),
    ],
)
def test_the_python_block_of_a_client_leaves_an_image(words: str, image: str, desk: Path, real: Server) -> None:
    script = addressed(block_with(words, "docs/clients.md").text, real)
    subprocess.run([sys.executable, "-c", script], cwd=desk, check=True)
    assert Image.open(desk / image).size[0] in (256, 512)


def test_the_python_block_on_batches_leaves_its_images(desk: Path, real: Server) -> None:
    script = addressed(block_with("client.batches.create", "docs/clients.md").text, real)
    subprocess.run([sys.executable, "-c", script], cwd=desk, check=True)
    assert [Image.open(desk / f"apple-{seed}.png").size for seed in (1, 2)] == [(256, 256)] * 2


@pytest.mark.parametrize("target", ["run", "test", "soak", "check", "bench"])
def test_every_make_target_that_is_named_exists(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text("utf-8")
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("words", ["VISIONCRAFT_SERVER__PORT=8001", "--host 0.0.0.0"])
def test_a_serve_command_serves(words: str, desk: Path) -> None:
    port = free_port()
    script = block_with(words).text.replace("8001", str(port))
    env = environment(desk, **({} if str(port) in script else {"VISIONCRAFT_SERVER__PORT": str(port)}))
    process = subprocess.Popen(["bash", "-c", f"exec env {script}"], cwd=desk, env=env, stderr=subprocess.PIPE)
    try:
        while not listening(port):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_a_pull_without_network_says_so_in_one_line(desk: Path) -> None:
    env = environment(desk, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(desk / "hf"))
    outcome = run(desk, block_with("models pull").text, env)
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert "stable-diffusion" in outcome.stderr


def test_an_export_without_optimum_says_so_in_one_line(desk: Path) -> None:
    """The whole of it takes a gigabyte from a registry: plugins/local_onnx/tests has it in `make soak`.

    What the exporter imports before it asks for Optimum is hollow: it takes twenty seconds, and is not used.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(desk / "hollow")], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(desk / "hollow")}))
    (site / "safetensors").mkdir()
    for module in ("diffusers", "numpy", "onnxruntime", "torch", "safetensors/__init__"):
        (site / f"{module}.py").touch()
    (site / "safetensors" / "torch.py").write_text("load_file = save_file = None\n")
    python = desk / "hollow" / "bin" / "python"
    env = environment(desk, VISIONCRAFT_PLUGINS__CONFIG__LOCAL_ONNX__EXPORT_PYTHON=str(python))
    outcome = run(desk, block_with("models export", "docs/onnx.md").text, env)
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert "No module named 'optimum'" in outcome.stderr


def test_the_folders_of_the_light_install_exist() -> None:
    """`tests/test_light.py` installs them into an empty environment in `make soak`."""
    folders = block_with("pip install", "docs/onnx.md").text.split()[2:]
    assert [folder.removeprefix("./") for folder in folders] == list(LIGHT)
    assert all((ROOT / folder / "pyproject.toml").is_file() for folder in folders)


def test_the_plugin_of_thirty_lines_installs_and_draws(desk: Path) -> None:
    """pip installs it into a folder beside the environment, so that the run leaves nothing behind."""
    site = desk / "site-plasma"
    pip = {"PIP_TARGET": str(site), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false", "PYTHONPATH": str(site)}
    outcome = run(desk, block_with("pip install").text, environment(desk, **pip))
    assert outcome.returncode == 0, outcome.stderr
    assert Image.open(desk / "plasma.png").size == (512, 512)


def test_the_plugin_keeps_to_the_lines_it_promises() -> None:
    code = [line for line in block_with("class Plasma").text.splitlines() if line.strip()]
    project = block_with('name = "visioncraft-plasma"').text
    assert len(code) <= 30
    assert len(project.splitlines()) <= 15
    assert tomllib.loads(project)["project"]["entry-points"]["visioncraft"] == {"plasma": "visioncraft_plasma"}


def test_no_block_is_left_out() -> None:
    """A block in a language no test here runs would go stale unseen."""
    special = [b for page in PAGES for b in blocks(page) if b.language == "bash" and not is_plain(b)]
    assert len(special) == 8, [block.text for block in special]
    assert {b.language for page in PAGES for b in blocks(page)} - set(SHOWN) == {"bash", "python"}


def test_pages_link_only_to_files_that_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "plugins").glob("*/README.md")]
    missing = [
        f"{page.name}: {target}" for page in pages for target in _links(page) if not (page.parent / target).exists()
    ]
    assert missing == []


def _links(page: Path) -> Iterator[str]:
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        for child in token.children or []:
            target = str(child.attrGet("href") or child.attrGet("src") or "").partition("#")[0]
            if target and "://" not in target and not target.startswith("mailto:"):
                yield target
