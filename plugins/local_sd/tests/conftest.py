"""Real diffusers pipelines, small and with random weights, as folders and as single files in the original layout."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from visioncraft import GenerationRequest, JobCancelled, ModelInfo
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


class Recorder:
    """A `Progress` that remembers, and cancels itself at a given step or stage."""

    def __init__(self, cancel_at_step: int | None = None, on_step: Callable[[int], None] | None = None) -> None:
        self.steps: list[tuple[int, int]] = []
        self.stages: list[str] = []
        self.cancelled = False
        self._cancel_at = cancel_at_step
        self._on_step = on_step

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        self.steps.append((step, total))
        if self._on_step:
            self._on_step(step)
        if step == self._cancel_at:
            self.cancelled = True
        if self.cancelled:
            raise JobCancelled()

    def stage(self, name: str) -> None:
        self.stages.append(name)
        if self.cancelled:
            raise JobCancelled()


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
    from visioncraft_local_sd.tokenizer import clip_tokenizer

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
    from visioncraft_local_sd.tokenizer import clip_tokenizer

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


@pytest.fixture
def copy_of_sd1(sd1: Path, tmp_path: Path) -> Path:
    """A copy of the tiny SD 1.x to spoil."""
    return shutil.copytree(sd1, tmp_path / "spoiled")


@pytest.fixture
def single_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Turn a folder into one `.safetensors` file in the original layout, with the package's configs made as tiny."""

    def convert(folder: Path) -> Path:
        from safetensors.torch import save_file
        from visioncraft_local_sd import checkpoints

        family = "sdxl" if "xl" in folder.name else "sd1"
        configs = tmp_path / "configs"
        shutil.copytree(folder, configs / family, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer*"))
        monkeypatch.setattr(checkpoints, "_DATA", configs)
        path = tmp_path / f"{folder.name}-single.safetensors"
        save_file(original_layout(folder), path)
        return path

    return convert


@pytest.fixture
def generator_for(tmp_path: Path) -> Callable[..., LocalSD]:
    """A generator on the CPU, in fp32 unless told otherwise."""

    return lambda **settings: _generator(tmp_path, settings)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalSD:
    """A generator that a module's tests share, so that its models load once; for tests that leave them whole."""
    return _generator(tmp_path_factory.mktemp("shared"), {"concurrency": 2})


def _generator(folder: Path, settings: Mapping[str, Any]) -> LocalSD:
    defaults = {"device": "cpu", "dtype": "fp32", "hf_cache": str(folder / "hf")}
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


def original_layout(folder: Path) -> dict[str, Any]:
    """The weights of a folder under the names that CompVis and Stability AI gave them."""
    from safetensors.torch import load_file

    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(folder / "text_encoder" / "model.safetensors")
    text = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in text.items()}
    first = "conditioner.embedders.0.transformer." if "xl" in folder.name else "cond_stage_model.transformer."
    state = {
        **{f"model.diffusion_model.{_unet_name(key)}": value for key, value in unet.items()},
        **_vae_state(vae),
        **{f"{first}{key}": value for key, value in text.items()},
    }
    if "xl" in folder.name:
        state |= _open_clip_state(load_file(folder / "text_encoder_2" / "model.safetensors"))
    return {key: value.contiguous() for key, value in state.items()}


def _rename(key: str, table: Mapping[str, str]) -> str:
    for pattern, name in table.items():
        key = re.sub(pattern, name, key)
    return key


def _unet_name(key: str) -> str:
    """For two levels of one layer, as `_unet` builds them."""
    if "resnets" in key:
        key = _rename(
            key,
            {
                r"\.norm1\.": ".in_layers.0.",
                r"\.conv1\.": ".in_layers.2.",
                r"\.norm2\.": ".out_layers.0.",
                r"\.conv2\.": ".out_layers.3.",
                r"time_emb_proj": "emb_layers.1",
                r"conv_shortcut": "skip_connection",
            },
        )
    table = {
        r"^conv_in\.": "input_blocks.0.0.",
        r"^conv_norm_out\.": "out.0.",
        r"^conv_out\.": "out.2.",
        r"^time_embedding\.linear_1": "time_embed.0",
        r"^time_embedding\.linear_2": "time_embed.2",
        r"^add_embedding\.linear_1": "label_emb.0.0",
        r"^add_embedding\.linear_2": "label_emb.0.2",
        r"^down_blocks\.0\.resnets\.0": "input_blocks.1.0",
        r"^down_blocks\.0\.attentions\.0": "input_blocks.1.1",
        r"^down_blocks\.0\.downsamplers\.0\.conv": "input_blocks.2.0.op",
        r"^down_blocks\.1\.resnets\.0": "input_blocks.3.0",
        r"^mid_block\.resnets\.0": "middle_block.0",
        r"^mid_block\.attentions\.0": "middle_block.1",
        r"^mid_block\.resnets\.1": "middle_block.2",
        r"^up_blocks\.0\.resnets\.(\d)": r"output_blocks.\1.0",
        r"^up_blocks\.0\.upsamplers\.0": "output_blocks.1.1",
        r"^up_blocks\.1\.resnets\.0": "output_blocks.2.0",
        r"^up_blocks\.1\.resnets\.1": "output_blocks.3.0",
        r"^up_blocks\.1\.attentions\.0": "output_blocks.2.1",
        r"^up_blocks\.1\.attentions\.1": "output_blocks.3.1",
    }
    return _rename(key, table)


def _vae_state(vae: Mapping[str, Any]) -> dict[str, Any]:
    table = {
        r"down_blocks\.(\d)\.resnets\.(\d)": r"down.\1.block.\2",
        r"down_blocks\.(\d)\.downsamplers\.0": r"down.\1.downsample",
        r"up_blocks\.(\d)\.resnets\.(\d)": lambda m: f"up.{3 - int(m[1])}.block.{m[2]}",
        r"up_blocks\.(\d)\.upsamplers\.0": lambda m: f"up.{3 - int(m[1])}.upsample",
        r"mid_block\.resnets\.(\d)": lambda m: f"mid.block_{int(m[1]) + 1}",
        r"mid_block\.attentions\.0": "mid.attn_1",
        r"group_norm": "norm",
        r"to_out\.0": "proj_out",
        r"to_([qkv])\.": r"\1.",
        r"conv_norm_out": "norm_out",
        r"conv_shortcut": "nin_shortcut",
    }
    state = {}
    for key, value in vae.items():
        name = _rename(key, table)  # type: ignore[arg-type]
        if "attn_1" in name and value.ndim == 2:
            value = value[:, :, None, None]
        state[f"first_stage_model.{name}"] = value
    return state


def _open_clip_state(text: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    prefix = "conditioner.embedders.1.model."
    table = {
        r"^text_model\.embeddings\.position_embedding\.weight": "positional_embedding",
        r"^text_model\.embeddings\.": "",
        r"^text_model\.final_layer_norm": "ln_final",
        r"^text_model\.encoder\.layers\.": "transformer.resblocks.",
        r"layer_norm(\d)": r"ln_\1",
        r"mlp\.fc1": "mlp.c_fc",
        r"mlp\.fc2": "mlp.c_proj",
        r"self_attn": "attn",
    }
    state: dict[str, Any] = {}
    for key, value in text.items():
        if "q_proj" in key:
            parts = [text[key.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            name = _rename(key, table).replace("q_proj.", "in_proj_")
            state[prefix + name] = torch.cat(parts)
        elif key == "text_projection.weight":
            state[f"{prefix}text_projection"] = value.T
        elif "k_proj" not in key and "v_proj" not in key:
            state[prefix + _rename(key, table)] = value
    return state
