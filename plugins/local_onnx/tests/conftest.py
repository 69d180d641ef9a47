"""What the tests of this plugin share: a generator, a recorder of progress, and a tiny XL model exported to ONNX."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from visioncraft import GenerationRequest, JobCancelled, ModelInfo
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.settings import LocalOnnxSettings
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings

sys.path.insert(0, str(Path(__file__).parent / "support"))

SIDE = 128
WEIGHTS = Path(__file__).parents[2] / "mini" / "visioncraft_mini" / "weights"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers warn thousands of times of an API of NumPy that they will have to leave."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small models lose to thread hand-overs, by a factor of a hundred where the machine is busy."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def torchs(tmp_path_factory: pytest.TempPathFactory) -> LocalSD:
    """The same model drawn by torch."""
    return LocalSD(LocalSDSettings(device="cpu", dtype="fp32"), data_path=tmp_path_factory.mktemp("torch"))


class Recorder:
    """A `Progress` that remembers, and cancels itself at a given step."""

    def __init__(self, cancel_at_step: int | None = None) -> None:
        self.steps: list[tuple[int, int]] = []
        self.previews: list[tuple[int, bytes]] = []
        self.stages: list[str] = []
        self.cancelled = False
        self._cancel_at = cancel_at_step

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self.steps.append((step, total))
        if preview is not None:
            self.previews.append((step, preview))
        self.cancelled = step == self._cancel_at
        self._stop_if_cancelled()

    def stage(self, name: str) -> None:
        self.stages.append(name)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self.cancelled:
            raise JobCancelled()


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def generator_for(tmp_path: Path) -> Callable[..., LocalOnnx]:
    """A generator with settings of its own."""
    return lambda **settings: _generator(tmp_path, settings)


@pytest.fixture(scope="session")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> LocalOnnx:
    """A generator that tests share, so that its models load once; for tests that leave them whole."""
    return _generator(tmp_path_factory.mktemp("onnx"), {"concurrency": 2, "threads": 1})


def _generator(folder: Path, settings: Mapping[str, Any]) -> LocalOnnx:
    return LocalOnnx(LocalOnnxSettings.model_validate(settings), data_path=folder / "data")


@pytest.fixture
def ask() -> Callable[..., GenerationRequest]:
    """A request for a folder, of mini where none is named."""

    def make(path: Path = WEIGHTS, **changes: Any) -> GenerationRequest:
        model = ModelInfo(id=changes.pop("model_id", path.name), name="Tiny", engine="onnx", source=str(path))
        defaults = {"prompt": "a red apple", "num_inference_steps": 3, "width": SIDE, "height": SIDE, "seed": 7}
        return GenerationRequest(model=model, **{**defaults, **changes})

    return make


@pytest.fixture(scope="session")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny Stable Diffusion XL: the folder diffusers reads, and its export in Optimum's layout."""
    import torch

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(2)
    pipe = _tiny_xl_pipeline()
    pipe.save_pretrained(folder / "torch", safe_serialization=True)
    pipe.save_pretrained(folder / "onnx", safe_serialization=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        _export_xl(pipe, folder / "onnx")
    for weights in (folder / "onnx").rglob("*.safetensors"):
        weights.unlink()
    return folder / "torch", folder / "onnx"


def _tiny_xl_pipeline() -> Any:
    diffusers: Any = importlib.import_module("diffusers")
    transformers: Any = importlib.import_module("transformers")
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=48,
        attention_head_dim=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.13025,
    )
    tokenizer = transformers.CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    return diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(_text_config(transformers, 16)),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_text_config(transformers, 32)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
        ),
        add_watermarker=False,
    )


def _text_config(transformers: Any, width: int) -> Any:
    return transformers.CLIPTextConfig(
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
        vocab_size=3095,
        bos_token_id=3093,
        eos_token_id=3094,
    )


def _export_xl(pipe: Any, folder: Path) -> None:
    """Every part under the names that Optimum gives, with its weights in the graph."""
    import torch

    ids = torch.zeros(1, 77, dtype=torch.int64)
    size = {0: "batch", 2: "height", 3: "width"}
    for part, pooled in (("text_encoder", "pooler_output"), ("text_encoder_2", "text_embeds")):
        names = [pooled, *(f"hidden_states.{number}" for number in range(3))]
        model = getattr(pipe, part)
        _trace(_text_call(model, pooled), model, folder / part, {"input_ids": (ids, {0: "batch"})}, names)

    def unet(sample: Any, timestep: Any, encoder_hidden_states: Any, text_embeds: Any, time_ids: Any) -> Any:
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return pipe.unet(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]

    inputs = {
        "sample": (torch.zeros(2, 4, 8, 8), size),
        "timestep": (torch.tensor(1.0), {}),
        "encoder_hidden_states": (torch.zeros(2, 77, 48), {0: "batch"}),
        "text_embeds": (torch.zeros(2, 32), {0: "batch"}),
        "time_ids": (torch.zeros(2, 6), {0: "batch"}),
    }
    _trace(unet, pipe.unet, folder / "unet", inputs, ["out_sample"])
    latents = {"latent_sample": (torch.zeros(1, 4, 8, 8), size)}
    _trace(lambda z: pipe.vae.decode(z, return_dict=False)[0], pipe.vae, folder / "vae_decoder", latents, ["sample"])


def _text_call(model: Any, pooled: str) -> Any:
    def call(input_ids: Any) -> Any:
        answer = model(input_ids, output_hidden_states=True)
        return (answer[pooled], *answer.hidden_states)

    return call


def _trace(call: Any, model: Any, folder: Path, inputs: Mapping[str, tuple[Any, Any]], outputs: list[str]) -> None:
    import torch

    module: Any = torch.nn.Module()
    module.model, module.forward = model, call
    folder.mkdir(exist_ok=True)
    torch.onnx.export(
        module,
        tuple(value for value, _ in inputs.values()),
        str(folder / "model.onnx"),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes={name: axes for name, (_, axes) in inputs.items() if axes},
        opset_version=18,
        dynamo=False,
    )
