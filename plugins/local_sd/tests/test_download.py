"""Downloads, against a small hub on this machine: what is fetched, what is not, and what a failure says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_hub import Hub
from visioncraft import (
    InvalidRequest,
    JobCancelled,
    ModelInfo,
    ServiceUnavailable,
    StorageError,
    StoredModel,
    VisionCraftError,
)
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.weights.download import weights_to_fetch

Make = Callable[..., LocalSD]


@pytest.fixture
def hub(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that offers the tiny SD 1.x beside everything that must not be fetched."""
    server = Hub()
    files = [path for path in sd1.rglob("*") if path.is_file()]
    server.files = {path.relative_to(sd1).as_posix(): path.read_bytes() for path in files}
    server.files |= {
        "v1-5-pruned.ckpt": b"pickle",
        "v1-5-pruned.safetensors": b"twin",
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.non_ema.safetensors": b"twin",
        "unet/evil.py": b"code",
        "safety_checker/model.safetensors": b"unused",
        "README.md": b"words",
    }
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def lora() -> bytes:
    """A LoRA of one layer, as kohya-ss' scripts write it."""
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = np.zeros((4, 768), np.float32), np.zeros((320, 4), np.float32)
    return saved({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up})


def saved(tensors: dict[str, Any]) -> bytes:
    from safetensors.numpy import save

    return bytes(save(tensors))


def test_a_hub_model_is_pulled_into_the_models_folder_and_draws(
    generator_for: Make, hub: Hub, ask: Any, recorder: Any
) -> None:
    local, progress = generator_for(), recorder()
    info = local.pull("someone/tiny-painter", progress)
    assert isinstance(info, ModelInfo)
    assert (info.id, info.available) == ("tiny-painter", True)
    assert local.run(ask(Path(str(info.source))), recorder()).width == 64
    wanted = {"unet/diffusion_pytorch_model.safetensors", "model_index.json", "text_encoder/model.safetensors"}
    assert wanted < set(hub.fetched)
    assert {name for name in hub.fetched if not re.search(r"model\.safetensors$|\.json$|\.txt$", name)} == set()
    assert not any("safety_checker" in name for name in hub.fetched)
    assert progress.stages == ["downloading", "checking"]
    assert progress.steps[-1][0] == progress.steps[-1][1] > 1


def test_stable_diffusion_is_pulled_into_the_hugging_face_cache_and_is_listed(
    generator_for: Make, hub: Hub, recorder: Any, tmp_path: Path
) -> None:
    info = generator_for().pull("stable-diffusion-1.5", recorder())
    assert isinstance(info, ModelInfo)
    assert (info.id, info.available) == ("stable-diffusion-1.5", True)
    assert Path(str(info.source)).is_relative_to(tmp_path / "hf")


def test_a_cancelled_download_stops_and_another_one_finishes_it(generator_for: Make, hub: Hub, recorder: Any) -> None:
    local = generator_for()
    progress = recorder(cancel_at_step=1)
    with pytest.raises(JobCancelled):
        local.pull("someone/tiny", progress)
    info = local.pull("someone/tiny", recorder())
    assert isinstance(info, ModelInfo) and info.available


def test_a_connection_that_breaks_goes_on_where_it_stopped(
    generator_for: Make, hub: Hub, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)  # 10 MB, more than this model has
    weights = "unet/diffusion_pytorch_model.safetensors"
    hub.cut_once = {weights}
    info = generator_for().pull("someone/tiny", recorder())
    assert isinstance(info, ModelInfo) and info.available
    assert hub.fetched.count(weights) == 2
    assert hub.ranges == [f"bytes={len(hub.files[weights]) // 2 // 2**16 * 2**16}-"]
    assert (Path(str(info.source)) / weights).read_bytes() == hub.files[weights]


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "unet/config.json"])
def test_a_file_whose_hash_is_not_the_hubs_is_deleted_and_named(
    generator_for: Make, hub: Hub, recorder: Any, tmp_path: Path, name: str
) -> None:
    hub.lies = {name}
    local = generator_for()
    with pytest.raises(StorageError, match=r"its hash differs; it was deleted, pull again"):
        local.pull("someone/tiny", recorder())
    assert not (tmp_path / "data" / "models" / "tiny" / name).exists()
    hub.lies = set()
    info = local.pull("someone/tiny", recorder())
    assert isinstance(info, ModelInfo) and info.available


def test_one_file_of_a_repository_is_pulled_to_where_its_kind_lies(
    generator_for: Make, hub: Hub, recorder: Any, tmp_path: Path
) -> None:
    hub.files |= {"loras/Red Ink.safetensors".replace(" ", "_"): lora(), "pytorch_lora_weights.safetensors": lora()}
    local = generator_for()
    stored = local.pull("someone/pack/loras/Red_Ink.safetensors", recorder())
    assert isinstance(stored, StoredModel)
    assert (stored.id, stored.kind, stored.base) == ("red-ink", "lora", "sd1")
    assert Path(stored.path) == tmp_path / "data" / "models" / "loras" / "red-ink.safetensors"
    named = local.pull("someone/ink-wash/pytorch_lora_weights.safetensors", recorder())
    assert named.id == "ink-wash", "the file's own name says nothing"
    assert [part.id for part in local.parts()] == ["ink-wash", "red-ink"]
    assert hub.fetched == ["loras/Red_Ink.safetensors", "pytorch_lora_weights.safetensors"]


def test_a_repository_of_one_file_is_that_file_and_of_several_says_which(
    generator_for: Make, hub: Hub, recorder: Any
) -> None:
    hub.files = {"ink.safetensors": lora(), "README.md": b"words"}
    assert generator_for().pull("someone/ink", recorder()).id == "ink"
    hub.files["ash.safetensors"] = lora()
    with pytest.raises(InvalidRequest) as caught:
        generator_for().pull("someone/ink", recorder())
    assert "someone/ink/ash.safetensors, someone/ink/ink.safetensors" in str(caught.value.details["issue"])
    with pytest.raises(InvalidRequest) as caught:
        generator_for().pull("someone/ink/oak.safetensors", recorder())
    assert "its weights: ash.safetensors, ink.safetensors" in str(caught.value.details["issue"])


def test_a_controlnets_folder_is_pulled_whole(generator_for: Make, hub: Hub, recorder: Any) -> None:
    weights = saved({"controlnet_cond_embedding.conv_in.weight": np.zeros((16, 3, 3, 3), np.float32)})
    config = json.dumps({"_class_name": "ControlNetModel", "cross_attention_dim": 768}).encode()
    hub.files = {"config.json": config, "diffusion_pytorch_model.safetensors": weights, "pickle.bin": b"x"}
    stored = generator_for().pull("someone/control-edges", recorder())
    assert isinstance(stored, StoredModel)
    assert (stored.id, stored.kind, stored.base) == ("control-edges", "controlnet", "sd1")
    assert set(stored.files) == {"config.json", "diffusion_pytorch_model.safetensors"}


def test_fp16_weights_are_preferred_and_shards_come_with_their_index() -> None:
    files = [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "text_encoder/pytorch_model.bin",
        "text_encoder/pytorch_model.bin.index.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "unet/deep/er/x.json",
    ]
    unwanted = {files[2], files[7], files[8], files[11]}
    assert set(weights_to_fetch(files)) == set(files) - unwanted


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, "RepoNotFound", "is not on the hub"),
        (403, "GatedRepo", "accept it on huggingface.co"),
        (500, "", "check the network or HF_ENDPOINT"),
    ],
)
def test_a_hub_that_refuses_is_one_line_with_the_next_step(
    generator_for: Make, hub: Hub, recorder: Any, status: int, error: str, words: str
) -> None:
    hub.status, hub.error = status, error
    with pytest.raises(ServiceUnavailable, match=words) as caught:
        generator_for().pull("someone/tiny", recorder())
    assert "then: visioncraft models pull someone/tiny" in caught.value.message
    assert "\n" not in caught.value.message


def test_without_a_network_a_pull_is_one_line_with_the_next_step(
    generator_for: Make, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(VisionCraftError, match="check the network") as caught:
        generator_for().pull("stable-diffusion-1.5", recorder())
    assert caught.value.message.endswith("then: visioncraft models pull stable-diffusion-1.5")
    assert "\n" not in caught.value.message


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(
    generator_for: Make, hub: Hub, recorder: Any
) -> None:
    hub.files = {"model_index.json": b"{}", "unet/diffusion_pytorch_model.bin": b"pickle"}
    with pytest.raises(ServiceUnavailable, match="no safetensors weights"):
        generator_for().pull("someone/pickles", recorder())
    assert hub.fetched == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "sdxl",
        "../../etc",
        "a/b/c",
        "a/b/../c.safetensors",
        "a/b//c.safetensors",
        "/etc/passwd",
        "a/../b",
        "-x/y",
        "a b/c",
        "x/..",
    ],
)
def test_an_id_that_is_no_repository_is_refused(generator_for: Make, recorder: Any, name: str) -> None:
    with pytest.raises(InvalidRequest, match="Cannot pull"):
        generator_for().pull(name, recorder())
