"""From a denoiser's configuration and a call to a package of compiled code, without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from visioncraft_local_sd.compiling.calls import made, with_any_rows


def compile_network(job: Mapping[str, Any], package: Path) -> None:
    """Compile a denoiser for any number of rows and of threads. Memory is set aside for its weights, and not touched.

    Args:
        job: A `jobs.Job`, as a mapping.
        package: The file to write, which ends in `.pt2`; its metadata say from how many rows to how many it holds.
    """
    unet = _without_weights(job["config"], getattr(torch, job["dtype"]))
    inputs = job["inputs"]
    with torch.no_grad():
        exported = torch.export.export(unet, (), made(inputs), dynamic_shapes=with_any_rows(inputs), strict=False)
    first, last = _rows(exported, inputs["sample"]["tensor"]["shape"][0])
    torch._inductor.aoti_compile_and_package(
        exported,
        package_path=str(package),
        inductor_configs={
            "always_keep_tensor_constants": True,  # else the shortest weights are written into the code
            "aot_inductor.package_constants_in_so": False,
            "aot_inductor.precompile_headers": False,  # each is read once here, and would stay behind in /tmp
            "cpp.dynamic_threads": True,  # as many as torch uses when it is called: see `engine.threads`
            "aot_inductor.metadata": {"first": str(first), "last": str(last)},
        },
    )


def _without_weights(config: Mapping[str, Any], dtype: torch.dtype) -> torch.nn.Module:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(config)
    network: torch.nn.Module = unet.to(dtype, memory_format=torch.channels_last).to_empty(device="cpu").eval()
    return network


def _rows(exported: torch.export.ExportedProgram, asked: int) -> tuple[int, int]:
    """From how many rows to how many the exported program holds."""
    sample = next(node for node in exported.graph.nodes if node.op == "placeholder" and node.name == "sample")
    rows = sample.meta["val"].shape[0]
    if isinstance(rows, int):
        return asked, asked
    bounds = exported.range_constraints[rows.node.expr]
    return int(bounds.lower), int(min(bounds.upper, 2**31))
