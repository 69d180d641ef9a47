"""Real diffusers pipelines, small and with random weights."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from visioncraft import Ability, GenerationRequest, Limits, ModelInfo
from visioncraft.testing import Recorder
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers warn thousands of times of an API of NumPy that they will have to leave."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models lose to thread hand-overs, by a factor of a hundred where the machine is busy."""
    import torch

    torch.set_num_threads(1)


def library(name: str) -> Any:
    """diffusers or transformers, untyped: their constructors have no annotations."""
    return importlib.import_module(name)


def _unet(context: int, **more: Any) -> Any:
    return library("diffusers").UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=context,
        attention_head_dim=8,
        **more,
    )


def _vae(scaling: float) -> Any:
    return library("diffusers").AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        scaling_factor=scaling,
        sample_size=128,
    )


def _text(width: int, projection: bool = False) -> Any:
    transformers = library("transformers")
    config = transformers.CLIPTextConfig(
        hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, projection_dim=width
    )
    return (transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel)(config)


def _scheduler(name: str) -> Any:
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    return getattr(library("diffusers"), name)(**config, **more)


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny Stable Diffusion 1.x."""
    import torch
    from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer

    torch.manual_seed(1)
    pipe = library("diffusers").StableDiffusionPipeline(
        vae=_vae(0.18215),
        text_encoder=_text(32),
        tokenizer=clip_tokenizer(),
        unet=_unet(32),
        scheduler=_scheduler("PNDMScheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-sd1"
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny Stable Diffusion XL with both text encoders."""
    import torch
    from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer

    torch.manual_seed(2)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "use_linear_projection": True}
    pipe = library("diffusers").StableDiffusionXLPipeline(
        vae=_vae(0.13025),
        text_encoder=_text(32),
        text_encoder_2=_text(64, projection=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer("!"),
        unet=_unet(96, projection_class_embeddings_input_dim=64 + 6 * 8, **added),
        scheduler=_scheduler("EulerDiscreteScheduler"),
        add_watermarker=False,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-sdxl"
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def mini() -> Path:
    """The embedded model's folder, whose plugin these tests know only by its place."""
    return Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"


@pytest.fixture
def mini_model(mini: Path) -> ModelInfo:
    """The embedded model, free of its plugin's limits."""
    limits = Limits(steps=(1, 50), size_multiple=32)
    return ModelInfo(
        id="mini",
        name="Mini",
        engine="diffusers",
        source=str(mini),
        limits=limits,
        abilities=frozenset(get_args(Ability)),
    )


@pytest.fixture
def copy_of_sd1(sd1: Path, tmp_path: Path) -> Path:
    """A copy of the tiny SD 1.x to spoil."""
    return shutil.copytree(sd1, tmp_path / "spoiled")


@pytest.fixture
def generator_for(tmp_path: Path) -> Callable[..., LocalSD]:
    """A generator on the CPU, in fp32 unless told otherwise. `VISIONCRAFT_TEST_DEVICE=cuda` has it on a GPU."""

    return lambda **settings: _generator(tmp_path, settings)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalSD:
    """A generator that a module's tests share, so that its models load once; for tests that leave them whole."""
    return _generator(tmp_path_factory.mktemp("shared"), {"concurrency": 2, "compile": "off"})


def _generator(folder: Path, settings: Mapping[str, Any]) -> LocalSD:
    device = os.environ.get("VISIONCRAFT_TEST_DEVICE", "cpu")
    defaults = {"device": device, "dtype": "fp32", "hf_cache": str(folder / "hf")}
    return LocalSD(LocalSDSettings(**{**defaults, **settings}), data_path=folder / "data")


def model_at(path: Path, model_id: str = "") -> ModelInfo:
    return ModelInfo(id=model_id or path.stem, name="Tiny", engine="diffusers", source=str(path))


def request_for(model: ModelInfo, **changes: Any) -> GenerationRequest:
    defaults: dict[str, Any] = {"prompt": "a red apple", "num_inference_steps": 3, "width": 64, "height": 64, "seed": 7}
    return GenerationRequest(model=model, **{**defaults, **changes})


@pytest.fixture
def ask() -> Callable[..., GenerationRequest]:
    """A request for a folder or file."""
    return lambda path, **changes: request_for(model_at(path, changes.pop("model_id", "")), **changes)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder
