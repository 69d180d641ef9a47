"""Real diffusers pipelines, small and with random weights."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from tiny_models import save_sd1, save_sdxl
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


@pytest.fixture(scope="session", autouse=True)
def imported_for_good() -> None:
    """The libraries' million objects are no garbage, and are not looked through whenever a model leaves memory."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny Stable Diffusion 1.x."""
    return save_sd1(tmp_path_factory.mktemp("models") / "tiny-sd1")


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny Stable Diffusion XL with both text encoders."""
    return save_sdxl(tmp_path_factory.mktemp("models") / "tiny-sdxl")


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
