"""Weights that come when they are needed: accelerate's own hooks, with the CPU in the place of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from together import furthest, pixels
from visioncraft_local_sd.device.memory import MODES
from visioncraft_local_sd.generator import LocalSD

_HERE = torch.device("cpu")


def by_layers(pipe: Any, device: str) -> None:
    """As `enable_sequential_cpu_offload`, which refuses a CPU."""
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            accelerate.cpu_offload(part, _HERE, offload_buffers=bool(part._parameters))


def by_parts(pipe: Any, device: str) -> None:
    """As `enable_model_cpu_offload`, which refuses a CPU."""
    hook = None
    for name in pipe.model_cpu_offload_seq.split("->"):
        if isinstance(part := getattr(pipe, name, None), torch.nn.Module):
            _, hook = accelerate.cpu_offload_with_hook(part, _HERE, prev_module_hook=hook)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_weights_that_come_and_go_draw_what_weights_that_stay_draw_and_leave_with_the_model(
    generator_for: Callable[..., LocalSD],
    ask: Any,
    recorder: Any,
    family: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import diffusers

    monkeypatch.setattr(diffusers.DiffusionPipeline, "enable_sequential_cpu_offload", by_layers)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "enable_model_cpu_offload", by_parts)
    monkeypatch.setattr(LocalSD, "_modes", lambda self, device: (self._settings.memory_mode,))
    order, pictures = ask(request.getfixturevalue(family)), []
    for mode in MODES:
        local = generator_for(device="cpu", memory_mode=mode)
        image = local.run(order, recorder())
        pictures.append(pixels(image))
        assert image.facts["memory_mode"] == mode
        with local._held(order.model, recorder()) as loaded:
            weights = {weight.device.type for weight in loaded.pipe.unet.parameters()}
        assert weights == ({"meta"} if mode == "sequential" else {"cpu"})
        local.close()
        assert not list(local.status().loaded_models)
    assert max(furthest(pictures[0], other) for other in pictures) <= 1  # attention in slices rounds elsewhere


def test_weights_that_were_converted_while_pictures_are_drawn_leave_too(
    generator_for: Callable[..., LocalSD], sdxl: Path, ask: Any, recorder: Any
) -> None:
    """As the VAE of XL is, on CUDA."""
    local = generator_for(device="cpu", memory_mode="full")
    with local._held(ask(sdxl).model, recorder()) as loaded:
        local._engine.call(lambda: loaded.pipe.vae.to(torch.bfloat16).to(torch.float32))
        by_layers(loaded.pipe, "cpu")
    local.close()
    assert not list(local.status().loaded_models)
