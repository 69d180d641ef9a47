"""The same image asked of us and of diffusers' own pipelines, in fp32 on any processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from visioncraft import GenerationRequest, ModelInfo
from visioncraft.jobs.requests import build_request
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings

SIDE = 64
PROMPT, SEED = "a red apple", 7
PIXELS = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
MASK = np.zeros((SIDE, SIDE, 3), np.uint8)
MASK[:, SIDE // 2 :] = 255


def local_sd(data: Path) -> LocalSD:
    """What draws the models in a data folder, and shows every step."""
    settings = {"device": "cpu", "dtype": "fp32", "concurrency": 8, "hf_cache": str(data / "hf"), "preview_every": 1}
    return LocalSD(LocalSDSettings(**settings), data_path=data)


def by_id(local: LocalSD) -> Mapping[str, ModelInfo]:
    return {info.id: info for info in local.models()}


def asked(model: ModelInfo, **changes: Any) -> GenerationRequest:
    """A request as clients' requests are checked, without guidance; an image that is sent says the size."""
    size = {} if "init_image" in changes else {"width": SIDE, "height": SIDE}
    return build_request(model, PROMPT, **{**size, "guidance_scale": 1.0, "seed": SEED, **changes})


def drawn_by(pipe: Any, *, seed: int = SEED, **arguments: Any) -> np.ndarray:
    """The same of a pipeline of diffusers, as our pixels."""
    import torch

    pipe.set_progress_bar_config(disable=True)
    whole = {"prompt": PROMPT, "width": SIDE, "height": SIDE, **arguments}
    (image,) = pipe(**whole, generator=torch.Generator().manual_seed(seed), output_type="np").images
    return np.asarray((image * 255).round(), dtype=int)
