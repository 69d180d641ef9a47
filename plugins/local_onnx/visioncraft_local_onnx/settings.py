"""`[plugins.config.local_onnx]`: every key with its default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from visioncraft import PluginSettings

ProviderName = Literal["tensorrt", "cuda", "directml", "coreml", "openvino", "cpu"]
OpenVINOPrecision = Literal["auto", "bf16", "fp32"]


MOST_STEPS, MOST_GUIDANCE = 1000, 100.0
"""What settings may say of a model at most: schedulers have 1000 timesteps."""


class ModelEntry(PluginSettings):
    """`[plugins.config.local_onnx.models.<id>]`: a model that lies outside `models_dir`, or that needs a word more.

    Parameters
    ----------
    path: A folder as Optimum or the Hub exports it; None for a model that is found without it.
    name: What people read; the id where empty.
    description: One sentence.
    steps: Fewest and most denoising steps that a request may ask for; None for what this engine draws in.
    guidance_scale: Lowest and highest guidance scale, likewise.
    """

    path: Path | None = None
    name: str = ""
    description: str = ""
    steps: tuple[int, int] | None = None
    guidance_scale: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _from_low_to_high(self) -> ModelEntry:
        low, high = self.steps or (1, 1)
        if not 1 <= low <= high <= MOST_STEPS:
            raise ValueError(f"steps are [fewest, most], within 1 to {MOST_STEPS}, as [1, 8]")
        least, most = self.guidance_scale or (0, 0)
        if not 0 <= least <= most <= MOST_GUIDANCE:
            raise ValueError(f"guidance_scale is [lowest, highest], within 0 to {MOST_GUIDANCE:g}, as [0.0, 2.0]")
        return self


class LocalOnnxSettings(PluginSettings):
    """The table of this plugin.

    Parameters
    ----------
    providers: Execution providers in order of preference; those that the installed onnxruntime lacks are passed over.
        TensorRT is not among the defaults: it compiles for minutes.
    openvino_precision: What OpenVINO computes in; `auto` is bf16 where the processor has instructions for it (measured
        in docs/onnx.md), else fp32.
    threads: For one picture; 0 is as many as this process may use.
    concurrency: How many pictures are drawn at once.
    memory_budget_gb: GB (2**30 bytes) that loaded models may take together; 0 is 70 % of the machine's memory.
    keep_optimised: Whether the graphs that ONNX Runtime optimised for this machine are kept on disk, in
        `onnx-optimised` in the data folder: loading takes about half as long, and as much disk as the model.
    preview: What those who watch a job see of it: `linear`, a projection of the latents, or `off`.
    preview_every: Steps between two previews.
    models_dir: Folder of exported models; `auto` is `models-onnx` in the data folder.
    export_python: The interpreter of an environment that has Optimum, for `visioncraft models export`; `auto` makes one
        in `environments` in the data folder when it is first needed.
    models: Further models by id.
    """

    providers: tuple[ProviderName, ...] = Field(("cuda", "directml", "coreml", "openvino", "cpu"), min_length=1)
    openvino_precision: OpenVINOPrecision = "auto"
    threads: int = Field(0, ge=0, le=1024)
    concurrency: int = Field(1, ge=1, le=64)
    memory_budget_gb: float = Field(0.0, ge=0)
    keep_optimised: bool = True
    preview: Literal["linear", "off"] = "linear"
    preview_every: int = Field(5, ge=1)
    models_dir: str = "auto"
    export_python: str = "auto"
    models: Mapping[str, ModelEntry] = Field(default_factory=dict)
