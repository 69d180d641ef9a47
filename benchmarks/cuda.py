"""Stable Diffusion on an NVIDIA GPU: the real architectures with random weights, on which speed does not depend."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import httpx
import torch
import transformers
import visioncraft_local_sd
from visioncraft_local_sd.compiling.cuda_graphs import Graphs
from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer

from benchmarks.peers import KINDS, at_once, draw, in_turn
from benchmarks.serving import server

ROUNDS = 5
CLIENTS = {"sd1": 16, "sdxl": 8}
STEPS = (15, 20, 30, 50)
TARGET, TARGET_THROUGHPUT = 0.5, 2.0
SIDES = {"sd1": 512, "sdxl": 1024}
NAMES = {"sd1": "SD 1.5", "sdxl": "SDXL"}
_CONFIGS = Path(str(visioncraft_local_sd.__file__)).parent / "data"

Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """(what, ours, against what); none where there is no GPU."""
    if not torch.cuda.is_available():
        return
    for family in SIDES:
        with _weights(family) as folder:
            yield from _of_the_denoiser(family, folder)
            yield _of_the_vae(family, folder)
            yield from _of_pictures(family, folder)


@contextmanager
def _weights(family: str) -> Iterator[str]:
    """A diffusers folder of random weights in fp16."""
    configs = _CONFIGS / family
    kind: Any = diffusers.StableDiffusionXLPipeline if family == "sdxl" else diffusers.StableDiffusionPipeline
    texts = {"text_encoder": transformers.CLIPTextModel, "tokenizer": clip_tokenizer()}
    if family == "sdxl":
        texts |= {"text_encoder_2": transformers.CLIPTextModelWithProjection, "tokenizer_2": clip_tokenizer("!")}
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        with torch.device("cuda"):
            parts = {name: _text(configs / name, part) for name, part in texts.items()}
            parts["unet"] = _random(configs / "unet", diffusers.UNet2DConditionModel)
            parts["vae"] = _random(configs / "vae", diffusers.AutoencoderKL)
        scheduler = diffusers.PNDMScheduler if family == "sd1" else diffusers.EulerDiscreteScheduler
        parts["scheduler"] = scheduler.from_pretrained(configs / "scheduler")
        more = {} if family == "sdxl" else {"safety_checker": None, "requires_safety_checker": False}
        kind(**parts, **more, feature_extractor=None).save_pretrained(folder)
        del parts
        torch.cuda.empty_cache()
        yield folder


def _random(config: Path, part: Any) -> Any:
    return part.from_config(part.load_config(config)).half()


def _text(config: Path, part: Any) -> Any:
    """A text encoder of that class; a tokenizer as it is."""
    return (
        part._from_config(part.config_class.from_pretrained(config)).half() if hasattr(part, "_from_config") else part
    )


def _of_the_denoiser(family: str, folder: str) -> Iterator[Row]:
    """One call as it is, and replayed from a recording."""
    unet: Any = diffusers.UNet2DConditionModel.from_pretrained(f"{folder}/unet", dtype=torch.float16)
    layout = torch.contiguous_format if family == "sdxl" else torch.channels_last
    unet = unet.to("cuda", memory_format=layout)
    for count in (2, 8):
        graphs = Graphs(unet, lambda height, width: 10**6, after=1, pays=1e9)
        inputs = _inputs(family, unet, count)
        inputs["sample"] = inputs["sample"].contiguous(memory_format=layout)
        with torch.inference_mode():
            difference = (unet(**inputs)[0] - (graphs(**inputs), graphs(**inputs))[1][0]).abs().max().item()
            plain, replayed = _in_turn([lambda: unet(**inputs), lambda: graphs(**inputs)], 25)  # noqa: B023
        yield (
            f"{NAMES[family]}: a denoiser call of {count} rows, {SIDES[family]}x{SIDES[family]}, replayed",
            f"{replayed * 1e3:.1f} ms",
            f"as it is {plain * 1e3:.1f} ms, ratio {replayed / plain:.2f}; answers differ by {difference:g}",
        )


def _of_the_vae(family: str, folder: str) -> Row:
    """A decode in PyTorch's own layout, in the precision that the family's VAE is used in, and channels last."""
    dtype = torch.float32 if family == "sdxl" else torch.float16
    vaes = [diffusers.AutoencoderKL.from_pretrained(f"{folder}/vae", dtype=dtype).to("cuda") for _ in range(2)]
    vaes[1].to(memory_format=torch.channels_last)
    latents = torch.randn(1, 4, SIDES[family] // 8, SIDES[family] // 8, dtype=dtype, device="cuda")
    with torch.inference_mode():
        own, last = _in_turn([partial(vae.decode, latents) for vae in vaes], 25)
    what = f"{NAMES[family]}: a VAE decode, {SIDES[family]}x{SIDES[family]}, {'fp32' if family == 'sdxl' else 'fp16'}"
    return what, f"{own * 1e3:.1f} ms", f"channels last {last * 1e3:.1f} ms, ratio {own / last:.2f}"


def _inputs(family: str, unet: Any, count: int) -> dict[str, Any]:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float16, device="cuda")

    side = SIDES[family] // 8
    added = {"text_embeds": random(count, 1280), "time_ids": random(count, 6)} if family == "sdxl" else None
    return {
        "sample": random(count, 4, side, side),
        "timestep": torch.full((count,), 500.0, device="cuda"),
        "encoder_hidden_states": random(count, 77, unet.config.cross_attention_dim),
        "added_cond_kwargs": added,
        "return_dict": False,
    }


def _of_pictures(family: str, folder: str) -> Iterator[Row]:
    order = _order(family, 1, 20, 7.5)
    pipes = [_stock(folder, dtype) for dtype in ("fp32", "fp16")]
    settings = f'[plugins.config.local_sd.models.{family}]\npath = "{folder}"\n'
    with server(settings) as (client, _, _):
        ask = partial(_post, client)
        ways: list[Callable[[], Any]] = [lambda: ask(order), *(partial(draw, pipe, order) for pipe in pipes)]
        ours, *stock = _in_turn(ways, ROUNDS)
        what = f"{NAMES[family]}: POST /generate, {SIDES[family]}x{SIDES[family]}, 20 steps, fp16"
        shown = f"{ours * 1e3:.0f} ms"
        yield what, shown, _peer("as it comes, fp32", stock[0], ours, f" (target at most {TARGET:g})")
        yield "the same, against the same precision", shown, _peer("in fp16", stock[1], ours)
        mixed = [_order(family, number, STEPS[number % 4], (7.5, 1.0)[number % 2]) for number in range(CLIENTS[family])]
        for _ in range(2):  # which finds how many rows share a call
            at_once(ask, mixed)
        together = at_once(ask, mixed)
        one_by_one = in_turn(pipes[1], mixed)
        yield (
            f"{NAMES[family]}: {CLIENTS[family]} clients at once, steps {min(STEPS)}-{max(STEPS)}, guidance 7.5 and 1",
            f"{CLIENTS[family] / together:.2f} pictures/s",
            f"stock diffusers in turn, fp16: {CLIENTS[family] / one_by_one:.2f}, ratio {one_by_one / together:.2f} "
            f"(target {TARGET_THROUGHPUT:g})",
        )


def _order(family: str, seed: int, steps: int, guidance: float) -> dict[str, Any]:
    return {
        "prompt": "a red apple",
        "model": family,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "width": SIDES[family],
        "height": SIDES[family],
        "seed": seed,
    }


def _stock(folder: str, dtype: str) -> Any:
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=KINDS[dtype]).to("cuda")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _post(client: httpx.Client, order: dict[str, Any]) -> None:
    answer = client.post("/generate", json=order)
    if answer.is_error:
        raise RuntimeError(answer.text)


def _in_turn(ways: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each, in turn; the first rounds warm up."""
    times = [[_seconds(way) for way in ways] for _ in range(rounds + 2)][2:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def _seconds(way: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    way()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _peer(name: str, seconds: float, ours: float, target: str = "") -> str:
    return f"stock diffusers in a loop, {name}: {seconds * 1e3:.0f} ms, ratio {ours / seconds:.3f}{target}"
