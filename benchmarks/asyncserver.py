"""The peer `server_async` of `peers.py`: diffusers' own async server example, from where it lies.

`python -m benchmarks.asyncserver FOLDER PORT WEIGHTS UNET VAE`

Its server, its request-scoped pipelines and its locks are what runs. Only its loader is replaced, which knows Stable
Diffusion 3 on CUDA and on Apple's GPUs and nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import uvicorn

from benchmarks.peers import pipeline


class Loader:
    """Stands for the example's `ModelPipelineInitializer`, and for the pipeline holder that that one answers."""

    device = "cpu"

    def __init__(self, **ignored: Any) -> None:
        self.pipeline: Any = None

    def initialize_pipeline(self) -> Loader:
        """The holder."""
        return self

    def start(self) -> None:
        """Load the weights."""
        self.pipeline = pipeline(*sys.argv[3:6])


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import_module("Pipelines").ModelPipelineInitializer = Loader  # type: ignore[attr-defined]
    example = import_module("serverasync")
    example.server_config.port = int(sys.argv[2])
    uvicorn.run(example.app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
