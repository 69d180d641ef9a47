"""Compiled code answers in a network's place, with its numbers; where there is none, all goes on as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from tiny_models import save_sdxl
from together import in_loop
from visioncraft import decode_png
from visioncraft.testing import PATIENCE_S
from visioncraft_local_sd.compiling.cuda_graphs import Graphs
from visioncraft_local_sd.compiling.network import CompileChoice, Network
from visioncraft_local_sd.compiling.queue import Compiler
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalSD]
SCRIPT = Path(__file__).with_name("scripts") / "compiling.py"
NICE = 10
pytestmark = pytest.mark.timeout(3600)  # a compiler on a busy machine: waited for is its end, not a time


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL whose denoiser has few layers, since a compiler takes its time for each."""
    blocks: dict[str, Any] = {
        "block_out_channels": (32,),
        "down_block_types": ("CrossAttnDownBlock2D",),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ("UpBlock2D",),
    }
    return save_sdxl(tmp_path_factory.mktemp("models") / "least-sdxl", **blocks)


def unet_of(folder: Path) -> Any:
    import diffusers

    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    return unet.to(memory_format=torch.channels_last).eval()


def inputs_for(unet: Any, rows: int, side: int = 8) -> dict[str, Any]:
    """A call as the engine makes it."""
    random = torch.Generator().manual_seed(rows)
    sample = torch.randn(rows, 4, side, side, generator=random)
    context = torch.randn(rows, 77, unet.config.cross_attention_dim, generator=random)
    added = None
    if unet.config.addition_embed_type == "text_time":
        added = {"text_embeds": torch.randn(rows, 64, generator=random), "time_ids": torch.full((rows, 6), 64.0)}
    return {
        "sample": sample.to(memory_format=torch.channels_last),
        "timestep": torch.linspace(900, 100, rows),
        "encoder_hidden_states": context,
        "timestep_cond": None,
        "added_cond_kwargs": added,
        "return_dict": False,
    }


@pytest.fixture(scope="module")
def quick_compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A compiler that optimises nothing: which numbers come out is looked at, and not how fast."""
    compiler = tmp_path_factory.mktemp("bin") / "g++"
    compiler.write_text(f'#!/bin/sh\nexec {os.environ.get("CXX", "g++")} "$@" -O0\n')
    compiler.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", str(compiler))
        yield


@pytest.fixture(scope="module")
def packages(sdxl: Path, quick_compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of the tiny XL's denoiser at 64x64."""
    folder = tmp_path_factory.mktemp("data") / "compiled"
    network = Network(unet := unet_of(sdxl), Compiler(folder, nice=0), after=2)
    with torch.inference_mode():
        network(**inputs_for(unet, 2))
        network(**inputs_for(unet, 5))  # the same kind of call, whatever its rows
    network.wait()
    assert network.compiled == 1
    return folder


@torch.inference_mode()
def test_compiled_code_answers_as_the_network_does_however_many_rows_there_are(
    sdxl: Path, packages: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(sdxl, tmp_path / "elsewhere")  # the same architecture, in another folder
    unet, eager = unet_of(elsewhere), list[int]()
    network = Network(unet, Compiler(packages))
    unet.register_forward_hook(lambda module, args, output: eager.append(len(args[0])))
    network(**inputs_for(unet, 3))  # another number of rows, and the same kind of call
    network.wait()
    for rows in (1, 2, 3, 8):
        inputs = inputs_for(unet, rows)
        (answer,) = network(**inputs)
        (expected,) = unet(inputs.pop("sample"), inputs.pop("timestep"), **inputs)
        assert torch.allclose(answer, expected, atol=1e-4)
    assert eager == [3, 1, 1, 2, 3, 8], "one row alone is left to the network"


def test_a_model_draws_the_same_picture_once_it_is_compiled(
    sdxl: Path, packages: Path, tmp_path: Path, generator_for: Make, ask: Any, recorder: Any
) -> None:
    shutil.copytree(packages, tmp_path / "data" / "compiled")
    local, request = generator_for(), ask(sdxl, guidance_scale=5.0)
    expected = generator_for(compile="off").run(request, recorder())
    local.run(request, recorder())
    with in_loop(local, request.model, recorder()) as loaded:
        assert isinstance(loaded._network, Network)
        loaded._network.wait()
        assert loaded._network.compiled == 1
    drawn = local.run(request, recorder())
    local.close()
    assert furthest(drawn, expected) <= 1


@pytest.mark.parametrize(
    ("setting", "device", "dtype", "kind"),
    [
        ("auto", "cpu", torch.float32, Network),
        ("auto", "cpu", torch.bfloat16, type(None)),
        ("on", "cpu", torch.bfloat16, Network),
        ("off", "cpu", torch.float32, type(None)),
        ("auto", "cuda", torch.float16, Graphs),
        ("off", "cuda", torch.float16, type(None)),
    ],
)
def test_only_what_draws_the_same_picture_is_compiled_unless_settings_say_so(
    sdxl: Path, tmp_path: Path, setting: Any, device: str, dtype: torch.dtype, kind: type
) -> None:
    network = CompileChoice(setting, tmp_path).network(unet_of(sdxl).to(dtype), device, lambda height, width: 8)
    assert isinstance(network, kind)


@torch.inference_mode()
def test_without_a_compiler_the_network_goes_on_and_the_log_says_what_to_install(
    sdxl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    network = Network(unet := unet_of(sdxl), Compiler(tmp_path / "compiled"), after=1)
    network(**inputs_for(unet, 2))
    network.wait()
    assert network(**inputs_for(unet, 2))[0].isfinite().all()
    assert network.compiled == 0
    assert "no-such-compiler; install g++, or set plugins.config.local_sd.compile" in caplog.text


@torch.inference_mode()
def test_a_damaged_package_is_thrown_away_and_harms_nothing(
    sdxl: Path, packages: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (package,) = packages.iterdir()
    (tmp_path / package.name).write_bytes(package.read_bytes()[:1000])
    network = Network(unet := unet_of(sdxl), Compiler(tmp_path), after=1)
    network(**inputs_for(unet, 2))
    network.wait()
    assert network(**inputs_for(unet, 2))[0].isfinite().all()
    assert "could not be compiled" in caplog.text
    assert not list(tmp_path.iterdir())


def test_closing_ends_what_is_being_compiled_at_once(
    sdxl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    unet = unet_of(sdxl)
    network = Network(unet, Compiler(tmp_path / "compiled", nice=NICE), after=1)
    with torch.inference_mode():
        network(**inputs_for(unet, 2))
    child = started(os.getpid())
    assert os.getpgid(child.pid) == child.pid, "whatever it starts is ended with it"
    network.close()
    assert not child.is_running()
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert not list(folder.iterdir())


def test_the_compiler_ends_with_a_process_that_is_killed(sdxl: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "tmp").mkdir()
    command = [sys.executable, str(SCRIPT), str(sdxl), str(tmp_path / "compiled")]
    parent = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(folder)})
    child = started(parent.pid)
    parent.kill()
    parent.wait()
    gone, _ = psutil.wait_procs([child], timeout=PATIENCE_S)
    assert gone == [child]
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert not list(folder.iterdir())


def started(parent: int) -> psutil.Process:
    """The process that compiles for another, once it has read its job: then it gives way to other processes."""
    clock = threading.Event()
    for _ in range(30_000):
        for child in psutil.Process(parent).children():
            if "visioncraft_local_sd.compiling.child" in child.cmdline() and child.nice() == NICE:
                return child
        clock.wait(0.01)
    raise TimeoutError("nothing compiles")


def furthest(left: Any, right: Any) -> int:
    return int(np.abs(decode_png(left.png).astype(int) - decode_png(right.png).astype(int)).max())
