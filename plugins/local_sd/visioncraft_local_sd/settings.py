"""`[plugins.config.local_sd]`: every key with its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from visioncraft import PluginSettings
from visioncraft_diffusion import library as models

DeviceSetting = Literal["auto", "cuda", "cpu"]
DtypeSetting = Literal["auto", "fp16", "bf16", "fp32"]
ModeSetting = Literal["auto", "full", "slicing", "offload", "sequential"]

CompileSetting = Literal["auto", "on", "off"]
PreviewSetting = Literal["linear", "taesd", "off"]


class ModelEntry(models.ModelEntry):
    """`[plugins.config.local_sd.models.<id>]`: a diffusers folder or a single `.safetensors` file, or a word more.

    Args:
        prediction_type: What the denoiser predicts. A single file of SD 2.x does not say it, and is taken for
            `v_prediction` as diffusers does.
        vae: A VAE in the folder of models, by its name, in place of the model's own.
    """

    prediction_type: Literal["auto", "epsilon", "v_prediction"] = "auto"
    vae: str = ""


class LocalSDSettings(PluginSettings):
    """The table of this plugin.

    Args:
        device: `auto` takes a CUDA device that the installed torch can use, else the CPU.
        dtype: `auto` is fp16 on CUDA; on a CPU bf16 where the processor has instructions for it, else fp32. bf16 that
            it has none for is not used: pictures are drawn in fp32, and say so.
        concurrency: How many pictures are drawn at once; those of one model and size share each call of the denoiser.
        threads: Processor threads that a CPU computes with; 0 has the number found while pictures are drawn, between 1
            and one for each core: fewer draw faster where other programs compute, since threads wait for the one that
            has no core. `OMP_NUM_THREADS` in the environment counts as a number here.
        memory_budget_gb: GB (2**30 bytes) that loaded models may take together; 0 means 90 % of the device's memory on
            CUDA and 70 % of the machine's on a CPU.
        memory_mode: `auto` takes the fastest mode that fits the free memory when a model loads: `full`, `slicing` (the
            VAE decodes in slices and tiles), `offload` (and whole components wait in main memory) or `sequential` (and
            single layers do, with sliced attention: least memory, slowest). The last two are for CUDA.
        compile: Whether the denoiser is compiled in the background once a size is drawn often, on a CPU. `auto` does so
            in fp32, where the picture stays the same; `on` in bf16 too, where it differs by shades. On CUDA both replay
            calls that are alike from a recording (a CUDA graph), where that is faster; the picture stays the same.
        preview: What those who watch a job see of it: `linear`, a projection of the latents, `taesd` where its weights
            lie in the folder of models, or `off`.
        preview_every: Steps between two previews.
        models_dir: Folder of models; `auto` is `models` in the data folder.
        hf_cache: Hugging Face cache; `auto` is the user's own (`HF_HUB_CACHE`, `HF_HOME`).
        models: Further models by id.
    """

    device: DeviceSetting = "auto"
    dtype: DtypeSetting = "auto"
    concurrency: int = Field(16, ge=1, le=64)
    threads: int = Field(0, ge=0, le=1024)
    memory_budget_gb: float = Field(0.0, ge=0)
    memory_mode: ModeSetting = "auto"
    compile: CompileSetting = "auto"
    preview: PreviewSetting = "linear"
    preview_every: int = Field(5, ge=1)
    models_dir: str = "auto"
    hf_cache: str = "auto"
    models: Mapping[str, ModelEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_half_precision_on_cpu(self) -> LocalSDSettings:
        if self.device == "cpu" and self.dtype == "fp16":
            raise ValueError("dtype fp16 takes minutes a picture on a CPU; use auto, bf16 or fp32")
        return self
