"""From a checked checkpoint to a pipeline in memory."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import safetensors.torch
import torch
import transformers

from visioncraft_local_sd.batching.engine import Engine
from visioncraft_local_sd.compiling.network import CompileChoice
from visioncraft_local_sd.device.measurements import Measurements
from visioncraft_local_sd.device.memory import Footprint, MemoryMode, is_out_of_memory
from visioncraft_local_sd.families.family import Family
from visioncraft_local_sd.families.stable_diffusion import INPAINTING_CHANNELS
from visioncraft_local_sd.images.preview import PreviewChoice
from visioncraft_local_sd.images.vae_decoder import slice_vae
from visioncraft_local_sd.loaded_model import LoadedModel
from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer
from visioncraft_local_sd.loading.vae import load_vae
from visioncraft_local_sd.model_in_memory import DTYPES, ModelInMemory
from visioncraft_local_sd.stock_model import StockModel
from visioncraft_local_sd.weights.add_ons import AddOns
from visioncraft_local_sd.weights.checkpoints import Checkpoint
from visioncraft_local_sd.weights.components import linked
from visioncraft_local_sd.weights.safety import CheckpointRefused

_OVER_TIME = 5  # dimensions of a convolution in a VAE for videos, which torch has no such layout for

# diffusers loads through this. Of each tensor that safetensors 0.8 maps from a file two integers are never freed, 13 MB
# in 500 loads of a small model; of one that it reads, none. Nor does a whole file stay mapped for one small tensor.
safetensors.torch.load_file = partial(safetensors.torch.load_file, backend="pread")


def load_pipeline(
    checkpoint: Checkpoint,
    engine: Engine,
    device: str,
    dtype: str,
    mode: MemoryMode,
    footprint: Footprint,
    choices: Measurements,
    preview: PreviewChoice,
    parts: AddOns,
    compiling: CompileChoice,
) -> ModelInMemory:
    """Load a checked checkpoint onto a device.

    Args:
        dtype: `fp16`, `bf16` or `fp32`. On a CPU it is the denoiser's and the VAE's; text encoders stay in fp32.
        choices: Where it is kept what is measured while it draws.
        preview: What settings want shown.
        parts: Finds what else it can draw with.
        compiling: What settings say of compiling the denoiser.

    Raises `CheckpointRefused` for weights that are not what they looked like, and for a VAE that does not fit.
    """
    _be_quiet()
    # Read in a thread that ends, so that pictures go on meanwhile and no second pool of OpenMP's threads stays.
    with ThreadPoolExecutor(1, "load") as reader:
        pipe = reader.submit(_open, checkpoint, device, torch.float32 if device == "cpu" else DTYPES[dtype]).result()

    family = checkpoint.kind

    def settle() -> ModelInMemory:
        _convert(pipe, family, device, dtype)
        _place(pipe, device, mode)
        if (stock := family.stock) is not None:
            edition = checkpoint.edition
            return StockModel(pipe, family, stock, edition, engine, device, mode, footprint, preview, parts)
        return LoadedModel(pipe, family, engine, device, mode, footprint, preview, choices, parts, compiling)

    return engine.call(settle)


def engine_name() -> str:
    """The engine and its version, as kept with a picture."""
    return f"diffusers {diffusers.__version__}"


def _open(checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> Any:
    try:
        with TemporaryDirectory(prefix="visioncraft-model-") as folder:
            pipe = _read(checkpoint, Path(folder), dtype)
    except Exception as error:  # diffusers raises what it pleases over a file that only looked like a model
        if is_out_of_memory(error):
            raise
        raise _not_whole(checkpoint, " ".join(str(error).split())[:200] or type(error).__name__) from error
    _check_whole(pipe, checkpoint)
    pipe.set_progress_bar_config(disable=True)
    _correct_schedule(pipe, checkpoint)
    if checkpoint.vae is not None:
        pipe.vae = load_vae(checkpoint.vae, checkpoint.config_folder, pipe.vae, dtype)
    _lay_out(pipe, checkpoint.kind, device)
    return pipe


def _read(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline of a checkpoint; `folder` is empty and goes when it is read."""
    pipeline_class: Any = getattr(diffusers, checkpoint.kind.pipeline)
    common: dict[str, Any] = {"dtype": dtype, "local_files_only": True, **checkpoint.kind.left_out}
    if checkpoint.single_file:
        common |= _tokenizers(checkpoint) | {"config": str(_config_of(checkpoint, folder))}
        return pipeline_class.from_single_file(str(checkpoint.path), **common)
    # Nothing but what was chosen and checked: diffusers fails over names in a folder that are not its own.
    return pipeline_class.from_pretrained(str(linked(checkpoint.files, folder)), use_safetensors=True, **common)


def _check_whole(pipe: Any, checkpoint: Checkpoint) -> None:
    """What a file lacks diffusers leaves empty, and transformers draws by lot, with a line in a log at most."""
    for part, there in checkpoint.parameters.items():
        wanted = sum(each.numel() for each in getattr(pipe, part).parameters())
        empty = [name for name, each in getattr(pipe, part).named_parameters() if each.is_meta]
        if empty or there < wanted:
            lacks = f", among them {empty[0]}" if empty else ""
            raise _not_whole(checkpoint, f"its {part} lacks weights{lacks}")


def _not_whole(checkpoint: Checkpoint, reason: str) -> CheckpointRefused:
    whole = f"no whole {checkpoint.edition.title} model"
    return CheckpointRefused(f"{checkpoint.path.name} is {whole}, but a distilled, pruned or damaged one: {reason}")


def _config_of(checkpoint: Checkpoint, folder: Path) -> Path:
    """A single file's configurations; for inpainting, a copy in `folder` whose denoiser reads as many channels."""
    if not checkpoint.inpaints:
        return checkpoint.config_folder
    copied = Path(shutil.copytree(checkpoint.config_folder, folder / "config"))
    config = checkpoint.config("unet") | {"in_channels": INPAINTING_CHANNELS}
    (copied / "unet" / "config.json").write_text(json.dumps(config), "utf-8")
    return copied


def _tokenizers(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: clip_tokenizer(pad) for name, pad in checkpoint.kind.clip_pads.items()}


def _correct_schedule(pipe: Any, checkpoint: Checkpoint) -> None:
    """What a checkpoint says, or settings say, against the configuration it came with."""
    changes: dict[str, Any] = {}
    if checkpoint.prediction_type:
        changes["prediction_type"] = checkpoint.prediction_type
    if checkpoint.zero_terminal_snr:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if changes:
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)


def _lay_out(pipe: Any, family: Family, device: str) -> None:
    """Channels last where convolutions are faster so, by docs/benchmarks.md: the VAE is not on CUDA.

    On a CPU a row's numbers are then the same however many rows there are.
    """
    if device == "cpu" and all(weight.dim() < _OVER_TIME for weight in pipe.vae.parameters()):
        pipe.vae.to(memory_format=torch.channels_last)
    if device in family.channels_last:
        getattr(pipe, family.denoiser).to(memory_format=torch.channels_last)


def _convert(pipe: Any, family: Family, device: str, dtype: str) -> None:
    """What is not to stay in the precision that it was read in."""
    if device == "cpu":
        getattr(pipe, family.denoiser).to(DTYPES[dtype])
        pipe.vae.to(DTYPES[dtype])
    elif dtype == "fp16" and family.vae_overflows and pipe.vae.config.get("force_upcast"):
        pipe.vae.to(torch.float32)


def _place(pipe: Any, device: str, mode: MemoryMode) -> None:
    if mode != "full":
        slice_vae(pipe.vae)
    if mode == "sequential":
        pipe.enable_attention_slicing()
        pipe.enable_sequential_cpu_offload(device=device)
    elif mode == "offload":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)


def _be_quiet() -> None:
    """Neither library may write bars or prompts to the server's log."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
