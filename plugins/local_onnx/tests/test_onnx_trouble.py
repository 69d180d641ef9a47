"""What is wrong with a folder, a graph or an installation is said in one sentence, and the generator goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import ValidationError
from visioncraft import (
    InputImage,
    InsufficientVRAM,
    InvalidRequest,
    ModelNotAvailable,
    ServiceUnavailable,
    encode_png,
)
from visioncraft_local_onnx import generator as generator_module
from visioncraft_local_onnx.folder import read_folder
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.sessions import Runtime, Session
from visioncraft_local_onnx.tokenizer import PromptTokenizer

WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"
Make = Callable[..., LocalOnnx]
Ask = Callable[..., Any]


@pytest.fixture
def copy_of_mini(tmp_path: Path) -> Path:
    """mini's folder to spoil; weights are linked, since nothing writes into them."""
    return shutil.copytree(WEIGHTS, tmp_path / "spoiled", copy_function=_link_weights)


def _link_weights(source: str, target: str) -> None:
    if source.endswith(".safetensors"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def refusal(local: LocalOnnx, request: Any, progress: Any) -> str:
    """What a client is told to do about a model that cannot draw."""
    with pytest.raises(ModelNotAvailable) as caught:
        local.run(request, progress)
    return str(caught.value.details["suggestion"])


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("unet/model.onnx", "lacks unet/model.onnx; export it again"),
        ("vae/decoder.onnx", "lacks vae_decoder/model.onnx; export it again"),
        ("scheduler/scheduler_config.json", "scheduler/scheduler_config.json is missing"),
        ("tokenizer/tokenizer.json", "tokenizer/vocab.json is missing"),
        ("unet/diffusion_pytorch_model.safetensors", "unet/model.onnx is damaged or not whole"),
    ],
)
def test_a_folder_without_a_part_is_refused_by_that_parts_name(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any, gone: str, said: str
) -> None:
    local = generator_for()
    (copy_of_mini / gone).unlink()
    assert said in refusal(local, ask(copy_of_mini), recorder())
    assert local.run(ask(), recorder()).width == 128


def test_a_truncated_graph_and_truncated_weights_are_refused(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    local, graph = generator_for(), copy_of_mini / "unet" / "model.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:1000])
    assert "unet/model.onnx is damaged or not whole" in refusal(local, ask(copy_of_mini), recorder())
    graph.write_bytes(content)
    weights = copy_of_mini / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.write_bytes((WEIGHTS / "unet" / weights.name).read_bytes()[:1_000_000])
    assert "unet/model.onnx is damaged or not whole" in refusal(local, ask(copy_of_mini), recorder())


def test_a_graph_of_a_newer_opset_asks_for_a_newer_onnxruntime(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    graph = copy_of_mini / "vae" / "decoder.onnx"
    model = onnx.load(graph, load_external_data=False)
    model.opset_import[0].version = 9999
    graph.write_bytes(model.SerializeToString())
    assert "pip install --upgrade onnxruntime" in refusal(generator_for(), ask(copy_of_mini), recorder())


def test_a_graph_cannot_read_files_outside_its_folder(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    graph = copy_of_mini / "vae" / "decoder.onnx"
    model = onnx.load(graph, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../unet/diffusion_pytorch_model.safetensors"
    graph.write_bytes(model.SerializeToString())
    assert "vae/decoder.onnx" in refusal(generator_for(), ask(copy_of_mini), recorder())


def test_a_graph_of_another_kind_of_model_is_refused(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    shutil.copy(copy_of_mini / "text_encoder" / "model.onnx", copy_of_mini / "unet" / "model.onnx")
    os.link(copy_of_mini / "text_encoder" / "model.safetensors", copy_of_mini / "unet" / "model.safetensors")
    assert "only Stable Diffusion's denoiser" in refusal(generator_for(), ask(copy_of_mini), recorder())


def test_a_noise_schedule_that_is_not_known_is_refused_by_its_name(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    config = copy_of_mini / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "beta_schedule": "sigmoid"}))
    assert "'sigmoid' is not known" in refusal(generator_for(), ask(copy_of_mini), recorder())


@pytest.mark.parametrize("content", ["{", "[]", "x" * 2**21])
def test_a_damaged_configuration_is_named(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any, content: str
) -> None:
    (copy_of_mini / "model_index.json").write_text(content)
    assert "spoiled/model_index.json" in refusal(generator_for(), ask(copy_of_mini), recorder())


def test_without_a_provider_that_settings_allow_it_says_what_to_install(
    generator_for: Make, ask: Ask, recorder: Any
) -> None:
    local = generator_for(providers=["cuda"])
    with pytest.raises(ServiceUnavailable, match=r"cuda: pip install onnxruntime-gpu .* add 'cpu'"):
        local.run(ask(), recorder())
    assert local.status().loaded_models == []


def test_settings_name_only_providers_that_there_are(generator_for: Make) -> None:
    with pytest.raises(ValidationError, match="'cuda'"):
        generator_for(providers=["cdua"])
    with pytest.raises(ValidationError, match="at least 1"):
        generator_for(providers=[])


def test_a_model_that_does_not_fit_the_memory_is_refused_before_it_loads(
    generator_for: Make, ask: Ask, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = generator_for(memory_budget_gb=0.01)
    with pytest.raises(InsufficientVRAM, match="Not enough memory for weights"):
        local.run(ask(), recorder())
    local = generator_for()
    local.load(ask().model, recorder())
    monkeypatch.setattr(generator_module, "free_memory_gb", lambda: 0.01)
    with pytest.raises(InsufficientVRAM, match="requested resolution") as caught:
        local.run(ask(width=512, height=512), recorder())
    assert caught.value.vram_available == 0.01 < caught.value.vram_required


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Failed to allocate memory for requested buffer")])
def test_memory_that_runs_out_while_drawing_is_told_as_that_and_the_next_picture_is_drawn(
    generator_for: Make, ask: Ask, recorder: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    local = generator_for()
    before = local.run(ask(), recorder()).png

    def run_out(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", run_out)
        with pytest.raises(InsufficientVRAM, match="requested resolution"):
            local.run(ask(), recorder())
    assert local.run(ask(), recorder()).png == before


def test_a_model_without_its_encoder_refuses_a_picture_to_start_from(
    generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any
) -> None:
    (copy_of_mini / "vae" / "encoder.onnx").unlink()
    picture = InputImage("0" * 64, 8, 8, encode_png(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(InvalidRequest) as caught:
        generator_for().run(ask(copy_of_mini, init_image=picture), recorder())
    assert caught.value.details["field"] == "init_image"


def test_an_idle_model_leaves_for_another(generator_for: Make, copy_of_mini: Path, ask: Ask, recorder: Any) -> None:
    weights = read_folder(WEIGHTS).weights_gb
    local = generator_for(memory_budget_gb=1.5 * weights)
    local.load(ask(model_id="first").model, recorder())
    local.run(ask(copy_of_mini, model_id="second"), recorder())
    assert local.status().loaded_models == ["second"]
    local.unload(ask(model_id="second").model)
    assert local.status().loaded_models == []


def test_optimised_graphs_are_kept_used_again_and_made_anew_when_they_are_damaged(
    generator_for: Make, ask: Ask, recorder: Any, tmp_path: Path
) -> None:
    first = generator_for().run(ask(), recorder()).png
    kept = tmp_path / "data" / "onnx-optimised"
    before = {file: file.stat().st_mtime_ns for file in kept.rglob("model.onnx")}
    assert len(before) == 3  # text encoder, denoiser, decoder
    assert generator_for().run(ask(), recorder()).png == first
    assert {file: file.stat().st_mtime_ns for file in kept.rglob("model.onnx")} == before
    for file in before:
        file.write_bytes(b"damaged")
    assert generator_for().run(ask(), recorder()).png == first
    assert all(file.stat().st_size > 1000 for file in before)


def test_optimised_graphs_are_not_kept_where_settings_or_the_disk_say_so(
    generator_for: Make, ask: Ask, recorder: Any, tmp_path: Path
) -> None:
    generator_for(keep_optimised=False).load(ask().model, recorder())
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").write_text("no folder can be made here")
    assert generator_for().run(ask(), recorder()).width == 128


def test_inputs_that_stay_on_the_device_are_bound_and_answer_the_same() -> None:
    """As on a GPU, whose memory keeps the encoded prompt over all steps; the CPU's provider binds in the same way."""
    import onnxruntime

    session = Runtime(["cpu"], 1, None).open(WEIGHTS / "unet" / "model.onnx")
    random = np.random.default_rng(0)
    inputs = {
        "sample": random.standard_normal((2, 4, 16, 16)).astype(np.float32),
        "timestep": np.array([500], np.float32),
        "encoder_hidden_states": random.standard_normal((2, 77, 192)).astype(np.float32),
    }
    (plain,) = session.run(["out_sample"], inputs)
    steering = onnxruntime.OrtValue.ortvalue_from_numpy(inputs["encoder_hidden_states"], "cpu", 0)
    (bound,) = session.run(["out_sample"], {**inputs, "encoder_hidden_states": steering})
    assert np.array_equal(plain, bound)


def test_a_tokenizer_of_vocabulary_and_merges_is_the_one_of_the_whole_file(tmp_path: Path) -> None:
    whole = json.loads((WEIGHTS / "tokenizer" / "tokenizer.json").read_text("utf-8"))["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(whole["vocab"]), "utf-8")
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in whole["merges"])]))
    texts = ["A red  apple's <|endoftext|> stem, 苹果 🍎 42!", "", "word " * 200]
    assert np.array_equal(PromptTokenizer(tmp_path).ids(texts), PromptTokenizer(WEIGHTS / "tokenizer").ids(texts))


def test_token_ids_are_those_of_transformers() -> None:
    from transformers import CLIPTokenizer

    texts = ["A red  apple's stem, 苹果 🍎 42!", "", "word " * 200, "<|startoftext|> x <|endoftext|>"]
    theirs: Any = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    wanted = theirs(texts, padding="max_length", max_length=77, truncation=True).input_ids
    assert np.array_equal(PromptTokenizer(WEIGHTS / "tokenizer").ids(texts), wanted)


def test_the_folder_of_models_and_settings_list_models_the_broken_ones_with_their_reason(
    generator_for: Make, tiny_xl: tuple[Path, Path], copy_of_mini: Path, tmp_path: Path
) -> None:
    models = tmp_path / "data" / "models-onnx"
    shutil.copytree(tiny_xl[1], models / "Tiny XL")
    (models / "empty").mkdir()
    (models / ".half-exported").mkdir()
    entry = {"path": str(copy_of_mini), "name": "Mine", "description": "My own."}
    found = {model.id: model for model in generator_for(models={"mine": entry}).models()}
    assert set(found) == {"mine", "tiny-xl", "empty"}
    mine, empty = found["mine"], found["empty"]
    assert (mine.name, mine.description, mine.limits.size_multiple) == ("Mine", "My own.", 128)
    assert found["tiny-xl"].available
    assert found["tiny-xl"].limits.max_resolution == (2048, 2048)
    assert (found["tiny-xl"].limits.steps, found["tiny-xl"].limits.guidance_scale) == ((1, 150), (0.0, 30.0))
    swift = {"tiny-xl": {"steps": [1, 8], "guidance_scale": [0, 2]}}
    said = next(model for model in generator_for(models=swift).models() if model.id == "tiny-xl")
    assert (said.limits.steps, said.limits.guidance_scale) == ((1, 8), (0.0, 2.0))
    assert not empty.available
    assert empty.suggestion == "empty lacks text_encoder/model.onnx; export it again"
