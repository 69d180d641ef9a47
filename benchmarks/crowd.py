"""What was tried for many at once and not kept: the VAE or the texts beside the denoiser, or several in one call.

`python -m benchmarks.crowd LEVER` has 16 clients at the engine itself work in one of the ways of `LEVERS`. Each has a
process of its own: a second pool of OpenMP's threads, once there, slows everything after it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import visioncraft_mini
from visioncraft import GenerationRequest, ModelInfo, Progress, model_folder
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.loaded_model import LoadedModel
from visioncraft_local_sd.settings import LocalSDSettings

from benchmarks.levers import SIDE, Call, in_turn, row
from benchmarks.peers import pipeline

CLIENTS, ROUNDS, SHORT_ROUNDS = 16, 2, 3
STEPS, GUIDANCE = (10, 20, 30, 15), (7.5, 1.0, 5.0, 12.0)
AS_IN_A_WORKER = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
_PICTURES, _TEXTS = 4, 8
Row = tuple[str, str, str]
_alone = threading.Lock()


class Watcher:
    """A `Progress` that says when the first step is done."""

    cancelled = False

    def __init__(self) -> None:
        self.begun = threading.Event()

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """A step is done."""
        self.begun.set()

    def stage(self, name: str) -> None:
        """Nothing to tell."""


def _measured(lever: str) -> Mapping[str, float]:
    """What a process of its own finds: pictures a second, the last wait over the mean, and 4 steps beside 50."""
    command = [sys.executable, "-m", "benchmarks.crowd", lever]
    said = subprocess.run(command, env={**os.environ, **AS_IN_A_WORKER}, capture_output=True, text=True, check=True)
    found: Mapping[str, float] = json.loads(said.stdout.splitlines()[-1])
    return found


def rows() -> list[Row]:
    """(what, with the lever, without it): the better of two rounds, since other work only ever makes one slower."""
    found = [{lever: _measured(lever) for lever in LEVERS} for _ in range(2)]
    best = {lever: max((each[lever] for each in found), key=lambda told: told["speed"]) for lever in LEVERS}
    without = f"without {_told(best.pop('as it is'))}"
    beside = [(f"{CLIENTS} clients, {lever}", _told(best[lever]), f"{without}; not kept") for lever in best]
    return [*_in_company(), *beside]


def _in_company() -> list[Row]:
    """Several that wait in one call of the VAE or of the text encoder, against a call each."""
    pipe = pipeline(_weights(), "bf16", "bf16")
    vae: Any = pipe.vae.to(memory_format=torch.channels_last)
    latents = torch.randn(_PICTURES, 4, SIDE, SIDE, dtype=torch.bfloat16)
    words = torch.randint(0, 1000, (_TEXTS, 77))
    calls: list[Call] = [lambda: vae.decode(latents), lambda: [vae.decode(one) for one in latents.chunk(_PICTURES)]]
    calls += [lambda: pipe.text_encoder(words), lambda: [pipe.text_encoder(one) for one in words.chunk(_TEXTS)]]
    with torch.inference_mode():
        times = in_turn(calls)
    return [
        row(f"VAE, {_PICTURES} pictures in one call", times[0], times[1], "not kept"),
        row(f"text encoder, {_TEXTS} texts in one call", times[2], times[3], "not kept: little of any picture"),
    ]


def _told(found: Mapping[str, float]) -> str:
    return f"{found['speed']:.2f} pictures/s, last wait {found['last']:.2f}, 4 steps beside 50 {found['short']:.2f}"


def as_it_is() -> None:
    """Everything in the engine's one thread."""


def decoding() -> None:
    """Decode in the thread that asked, one at a time, while the engine goes on with other requests' steps."""
    decode, draw = LoadedModel._decode, LoadedModel.draw

    def beside(self: LoadedModel, request: GenerationRequest, progress: Progress) -> Any:
        latents, sampler = draw(self, request, progress)
        with _alone, torch.inference_mode():
            return decode(self, torch.from_numpy(latents)), sampler

    LoadedModel._decode = lambda self, latents: latents.numpy()  # type: ignore[method-assign]
    LoadedModel.draw = beside  # type: ignore[method-assign, assignment]


def encoding() -> None:
    """Encode a request's texts in the thread that asked, before the engine has it."""
    draw = LoadedModel.draw

    def beside(self: LoadedModel, request: GenerationRequest, progress: Progress) -> Any:
        with _alone, torch.inference_mode():
            self._drawing.encode(request)
        return draw(self, request, progress)

    LoadedModel.draw = beside  # type: ignore[method-assign, assignment]


LEVERS: Mapping[str, Callable[[], None]] = {
    "as it is": as_it_is,
    "VAE in a thread beside the denoiser": decoding,
    "texts encoded beside the denoiser": encoding,
}


def main() -> None:
    """Measure one lever."""
    LEVERS[sys.argv[1]]()
    with tempfile.TemporaryDirectory() as data:
        local = LocalSD(LocalSDSettings(device="cpu", dtype="bf16", preview="off", compile="off"), Path(data))
        model = ModelInfo(id="mini", name="Mini", engine="diffusers", source=_weights())
        mixed = [_asked(model, number, STEPS[number % 4], GUIDANCE[number // 4]) for number in range(CLIENTS)]
        for _ in range(2):  # which finds how many rows share a call
            _at_once(local, mixed)
        speed = max(CLIENTS / max(_at_once(local, _new(mixed, number))) for number in range(ROUNDS))
        waits = _at_once(local, [_asked(model, seed, 20, 7.5) for seed in range(CLIENTS)])
        print(json.dumps({"speed": speed, "last": max(waits) / statistics.mean(waits), "short": _short(local, model)}))


def _weights() -> str:
    return model_folder(str(visioncraft_mini.__file__), "weights")


def _asked(model: ModelInfo, seed: int, steps: int, guidance: float, prompt: str = "a red apple") -> GenerationRequest:
    return GenerationRequest(
        prompt=prompt, model=model, num_inference_steps=steps, guidance_scale=guidance, width=512, height=512, seed=seed
    )


def _new(requests: Sequence[GenerationRequest], number: int) -> list[GenerationRequest]:
    """The same with texts that were not encoded before."""
    return [replace(each, prompt=f"a red apple, number {number} {place}") for place, each in enumerate(requests)]


def _at_once(local: LocalSD, requests: Sequence[GenerationRequest]) -> list[float]:
    """Seconds that each waited."""

    def one(request: GenerationRequest) -> float:
        local.run(request, Watcher())
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(requests)) as clients:
        began = time.perf_counter()
        return list(clients.map(one, requests))


def _short(local: LocalSD, model: ModelInfo) -> float:
    """Median seconds of 4 steps beside 50, over those alone."""
    alone, beside = [], []
    with ThreadPoolExecutor(1) as other:
        for _ in range(SHORT_ROUNDS):
            alone.append(_at_once(local, [_asked(model, 1, 4, 7.5)])[0])
            watcher = Watcher()
            running = other.submit(local.run, _asked(model, 2, 50, 7.5), watcher)
            watcher.begun.wait()
            beside.append(_at_once(local, [_asked(model, 1, 4, 7.5)])[0])
            running.result()
    return statistics.median(beside) / statistics.median(alone)


if __name__ == "__main__":
    main()
