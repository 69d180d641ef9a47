"""`[plugins.config.local_onnx]`: every key with its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from visioncraft import PluginSettings
from visioncraft_diffusion.library import ModelEntry

ProviderName = Literal["tensorrt", "cuda", "directml", "coreml", "openvino", "cpu"]
OpenVINOPrecision = Literal["auto", "bf16", "fp32"]


class LocalOnnxSettings(PluginSettings):
    """The table of this plugin.

    Args:
        providers: Execution providers in order of preference; those that the installed onnxruntime lacks are passed
            over. TensorRT is not among the defaults: it compiles for minutes.
        openvino_precision: What OpenVINO computes in; `auto` is bf16 where the processor has instructions for it
            (measured in docs/onnx.md), else fp32.
        threads: For one picture; 0 is as many as this process may use.
        concurrency: How many pictures are drawn at once.
        memory_budget_gb: GB (2**30 bytes) that loaded models may take together; 0 is 70 % of the machine's memory.
        keep_optimised: Whether the graphs that ONNX Runtime optimised for this machine are kept on disk, in
            `onnx-optimised` in the data folder: loading takes about half as long, and as much disk as the model.
        preview: What those who watch a job see of it: `linear`, a projection of the latents, or `off`.
        preview_every: Steps between two previews.
        models_dir: Folder of exported models; `auto` is `models-onnx` in the data folder.
        export_python: The interpreter of an environment that has Optimum, for `visioncraft models export`; `auto` makes
            one in `environments` in the data folder when it is first needed.
        models: Further models by id: folders as Optimum or the Hub exports them, or a word more on others.
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
