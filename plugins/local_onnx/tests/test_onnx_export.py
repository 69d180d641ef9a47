"""Exporting: what can be refused is refused at once, what goes wrong leaves nothing behind, and says what it was.

The whole export, its environment fetched from the registry, is the long form: `make soak`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visioncraft import GenerationFailed, InvalidRequest, ServiceUnavailable, decode_png
from visioncraft.jobs.progress import NoProgress
from visioncraft_local_onnx.export import script
from visioncraft_local_onnx.export.environment import Environment, clean_environment
from visioncraft_local_onnx.export.run import Exporter
from visioncraft_local_onnx.folder import NOTE
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.settings import LocalOnnxSettings
from visioncraft_mini.plugin import MINI, WEIGHTS
from visioncraft_mini.train.graphs import write_graphs

SOAK = bool(os.environ.get("VISIONCRAFT_SOAK"))
Make = Callable[..., LocalOnnx]


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., Path]:
    """An interpreter in whose environment nothing is Optimum's: it answers what the script would say.

    What it stands in for takes a gigabyte from a registry; the long form below runs the real one.
    """

    def make(*messages: object, draws: bool = False) -> Path:
        python = tmp_path / "python"
        lines = "\n".join(f"echo {json.dumps(json.dumps(message))}" for message in messages)
        copied = f'cp -r {WEIGHTS} "$3" && cp {tmp_path}/reference.png "$(dirname "$3")"' if draws else "true"
        python.write_text(f"#!/bin/sh\n{copied}\necho 'a library speaks'\n{lines}\n")
        python.chmod(0o755)
        return python

    return make


def test_an_unknown_precision_a_single_file_and_a_second_export_are_refused(
    generator_for: Make, recorder: Any, tmp_path: Path
) -> None:
    local = generator_for(export_python=sys.executable)
    with pytest.raises(InvalidRequest, match="Unknown precision 'fp8'"):
        local.export(MINI, "fp8", recorder())
    with pytest.raises(InvalidRequest) as caught:
        local.export(replace(MINI, source=str(tmp_path / "model.safetensors")), "fp32", recorder())
    assert "only a diffusers folder" in str(caught.value.details["issue"])
    (tmp_path / "data" / "models-onnx" / "visioncraft-mini-onnx").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match="is there already"):
        local.export(MINI, "fp32", recorder())


def test_an_environment_without_optimum_is_named_and_nothing_is_kept(
    generator_for: Make, recorder: Any, tmp_path: Path
) -> None:
    with pytest.raises(GenerationFailed, match=r"export failed: .*optimum"):
        generator_for(export_python=sys.executable).export(MINI, "fp32", recorder())
    assert list((tmp_path / "data" / "models-onnx").iterdir()) == []


def test_an_export_that_holds_is_kept_with_what_was_measured(
    generator_for: Make, recorder: Any, ask: Any, tmp_path: Path, stand_in: Callable[..., Path]
) -> None:
    local = generator_for()
    request = ask(num_inference_steps=8, guidance_scale=7.5, sampler="ddim")
    (tmp_path / "reference.png").write_bytes(local.run(request, recorder()).png)
    answer = {"checks": {"unet": [1e-6, 2.5]}, "side": 128}
    python = stand_in({"stage": "exporting"}, 7, answer, draws=True)
    progress = recorder()
    made = generator_for(export_python=str(python)).export(MINI, "fp16", progress)
    assert made.model.id == "visioncraft-mini-onnx-fp16"
    assert made.findings == [
        "unet: largest difference from torch 1e-06 (of numbers up to 2.5)",
        "a picture: mean difference from torch's 0.00/255",
    ]
    assert progress.stages[:2] == ["exporting", "drawing with the export"]
    image = local.run(ask(Path(str(made.model.source))), recorder())
    assert image.facts["dtype"] == "fp16"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"checks": {"unet": [0.5, 2.5]}, "side": 128}, "unet differs from torch's by 0.5"),
        ({"checks": {"unet": [float("nan"), 2.5]}, "side": 128}, "unet differs from torch's by nan"),
        ({"checks": {"unet": [1e-6, 2.5]}, "side": 128}, r"picture differs from torch's by \d+\.\d/255"),
        ({"error": "OutOfMemoryError: no room"}, "OutOfMemoryError: no room"),
        ({"stage": "loading"}, "the script ended with 0"),
    ],
)
def test_an_export_that_does_not_hold_is_thrown_away(
    recorder: Any,
    onnx: LocalOnnx,
    ask: Any,
    tmp_path: Path,
    stand_in: Callable[..., Path],
    answer: dict[str, Any],
    reason: str,
) -> None:
    (tmp_path / "reference.png").write_bytes(onnx.run(ask(seed=99), recorder()).png)
    exporter = Exporter(
        stand_in(answer, draws=True), tmp_path / "models", lambda request: onnx.run(request, recorder())
    )
    with pytest.raises(GenerationFailed, match=reason):
        exporter.export(MINI, "fp32", recorder())
    assert list((tmp_path / "models").iterdir()) == []
    onnx.unload(replace(MINI, id="visioncraft-mini-onnx"))


def test_an_environment_that_cannot_be_made_says_why(
    tmp_path: Path, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    progress = recorder()
    with pytest.raises(ServiceUnavailable, match=r"could not be made: .*check the network, then export again"):
        Environment(tmp_path / "environment").python(progress)
    assert progress.stages[0] == "making an environment for the export"


def test_no_secret_reaches_the_environment_that_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISIONCRAFT_TOKEN", "LEONARDO_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "a secret")
    assert "a secret" not in clean_environment().values()


def test_older_libraries_find_in_the_linked_folder_what_they_read(tmp_path: Path) -> None:
    """transformers 4 reads a tokenizer's vocabulary and merges, and text encoders whose weights have their prefix."""
    from safetensors import safe_open

    folder = script.loadable(WEIGHTS, tmp_path / "linked")
    assert json.loads((folder / "tokenizer" / "vocab.json").read_text())["<|endoftext|>"] == 3094
    assert (folder / "tokenizer" / "merges.txt").read_text().startswith("#version: 0.2\n")
    with safe_open(folder / "text_encoder" / "model.safetensors", framework="numpy") as weights:
        assert all(name.startswith("text_model.") for name in weights.keys())  # noqa: SIM118
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").is_symlink()
    assert list(folder.rglob("*.onnx")) == []


def exported_by_itself(folder: Path) -> Path:
    """mini by its own exporter, which writes graphs beside the weights."""
    shutil.copytree(WEIGHTS, folder, ignore=shutil.ignore_patterns("*.onnx"))
    write_graphs(folder)
    return folder


def exported_by_optimum(folder: Path, precision: str) -> Path:
    """mini by the command's own way, in the environment that it makes, which all of these share."""
    local = LocalOnnx(LocalOnnxSettings(models_dir=str(folder)), folder.parent)
    made = local.export(MINI, precision, NoProgress())
    assert json.loads((Path(str(made.model.source)) / NOTE).read_text())["precision"] == precision
    return Path(str(made.model.source))


@pytest.mark.parametrize("way", ["itself", *(("fp32", "fp16", "int8") if SOAK else ())])
def test_mini_exported_draws_what_the_shipped_graphs_draw(
    way: str, onnx: LocalOnnx, ask: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"exported-{way}"
    path = exported_by_itself(folder) if way == "itself" else exported_by_optimum(folder, way)
    pictures = [onnx.run(ask(each, num_inference_steps=4), NoProgress()).png for each in (path, WEIGHTS)]
    drawn, wanted = (decode_png(png).astype(int) for png in pictures)
    assert np.abs(drawn - wanted).mean() <= (0.01 if way in ("itself", "fp32") else 2)
