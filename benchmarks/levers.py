"""Each lever of a single picture's speed alone: one denoiser call under guidance, and one VAE decode, at 512x512."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import visioncraft_mini
from visioncraft import model_folder
from visioncraft_local_sd.compiling.network import Network
from visioncraft_local_sd.compiling.queue import Compiler

from benchmarks.peers import pipeline

ROUNDS = 25
SIDE = 32  # latents, for 512 pixels of mini
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}

Row = tuple[str, str, str]
Call = Callable[[], Any]


def rows() -> list[Row]:
    """(what, with the lever, without it); all in bf16, in turn, so that whatever else goes on hits all alike."""
    pipe = pipeline(model_folder(str(visioncraft_mini.__file__), "weights"), "bf16", "bf16")
    with torch.inference_mode():
        return [*_of_the_denoiser(pipe.unet), *_of_the_vae(pipe.vae)]


def _of_the_denoiser(plain: Any) -> list[Row]:
    unet = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    fused = copy.deepcopy(unet)
    fused.fuse_qkv_projections()
    calls = [_unet_call(plain, False), *(_unet_call(module, True) for module in (unet, fused))]
    times = in_turn(calls)
    return [
        row("denoiser channels-last", times[1], times[0], "kept: a row's numbers no longer depend on its neighbours"),
        row("denoiser with fused projections", times[2], times[1], "not kept"),
        *(_compiled(unet, dtype) for dtype in (torch.float32, torch.bfloat16)),
    ]


def _compiled(unet: Any, dtype: torch.dtype) -> Row:
    """Against the same network in the same precision."""
    eager = copy.deepcopy(unet).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        network = Network(eager, Compiler(Path(folder)), after=1)
        call = _unet_call(network, True, dtype)
        began = time.perf_counter()
        call()
        network.wait()
        compiling = time.perf_counter() - began
        without, lever = in_turn([_unet_call(eager, True, dtype), call])
    kept = "kept: the same picture" if dtype == torch.float32 else "only on request: pictures differ by shades"
    return row(f"denoiser compiled, in {NAMES[dtype]}", lever, without, f"{compiling:.0f} s to compile; {kept}")


def _of_the_vae(plain: Any) -> list[Row]:
    vae = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    latents = torch.randn(1, 4, SIDE, SIDE, dtype=torch.bfloat16)
    times = in_turn([lambda: plain.decode(latents), lambda: vae.decode(latents)])
    return [row("VAE channels-last", times[1], times[0], "kept")]


def _unet_call(unet: Any, channels_last: bool, dtype: torch.dtype = torch.bfloat16) -> Call:
    latents = torch.randn(2, 4, SIDE, SIDE, dtype=dtype)
    if channels_last:
        latents = latents.to(memory_format=torch.channels_last)
    timesteps, context = torch.full((2,), 500.0), torch.randn(2, 77, 192, dtype=dtype)
    return lambda: unet(latents, timesteps, encoder_hidden_states=context, return_dict=False)


def in_turn(calls: list[Call]) -> list[float]:
    """Median seconds of each."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS + 2):
        for call, kept in zip(calls, times, strict=True):
            began = time.perf_counter()
            call()
            kept.append(time.perf_counter() - began)
    return [statistics.median(kept[2:]) for kept in times]


def row(what: str, lever: float, without: float, verdict: str) -> Row:
    """A row of the report, from seconds."""
    return what, f"{lever * 1e3:.1f} ms", f"without {without * 1e3:.1f} ms, ratio {lever / without:.2f}; {verdict}"
