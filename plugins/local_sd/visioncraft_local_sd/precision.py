"""Arithmetic on a CPU: fp32 or bf16, chosen for the denoiser and for the VAE by timing both on the real weights.

No rule does: bf16 was slower than fp32 for one UNet on one AVX512-BF16 machine and much faster on an AMX one. fp16 is
never used on a CPU, where it takes minutes a picture.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from visioncraft_local_sd.choices import Choices

_log = logging.getLogger("visioncraft.local_sd")
_PROBE_SIDE = 32  # latents a side: large enough to be like the work, small enough for a load
_PROBE_PIXELS = 256  # the same for the VAE, whose cost goes by pixels
_ADVANTAGE = 0.9  # bf16 must take less than this share of fp32's time, as fp32 is the more exact one
_ROUNDS = 2

Probe = Callable[[Any], None]


def settle_on_cpu(pipe: Any, setting: str, roomy: bool, choices: Choices) -> None:
    """Convert the denoiser and the VAE of an fp32 pipeline in place where bf16 is asked for or faster.

    Parameters
    ----------
    pipe: A diffusers pipeline on the CPU.
    setting: `auto`, `bf16` or `fp32`.
    roomy: Whether memory suffices to hold a component in both precisions while they are timed; without it, `auto`
        takes bf16, which needs half.
    choices: What `auto` measured before, and where it keeps what it measures.
    """
    for name, probe in (("unet", _unet_probe(pipe)), ("vae", _vae_probe(pipe))):
        module = getattr(pipe, name)
        if setting == "bf16" or (setting == "auto" and (not roomy or _chosen(name, module, probe, choices) == "bf16")):
            module.to(torch.bfloat16)


def has_fast_bf16() -> bool:
    """Whether oneDNN has bf16 kernels for this CPU; elsewhere bf16 is emulated, and not worth timing."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported()) if supported is not None else False


def _chosen(name: str, module: Any, probe: Probe, choices: Choices) -> str:
    known = choices.get(name)
    if known not in ("fp32", "bf16"):
        known = "bf16" if _prefers_bf16(name, module, probe) else "fp32"
        choices.put(name, known)
    return known


def _prefers_bf16(name: str, module: Any, probe: Probe) -> bool:
    if not has_fast_bf16():
        return False
    single = _best_time(module, probe)
    half = _best_time(copy.deepcopy(module).to(torch.bfloat16), probe)
    _log.info("%s: fp32 %.0f ms, bf16 %.0f ms", name, single * 1e3, half * 1e3)
    return half < _ADVANTAGE * single


def _best_time(module: Any, probe: Probe) -> float:
    """Processor seconds of the fastest of a few calls on one thread, which other work on the machine changes least.

    Wall time would let a busy moment decide the precision, and with it how a seed's picture looks. So would several
    threads, which spin while they wait for one that has no core.
    """
    times = []
    with torch.no_grad(), _one_thread():
        probe(module)  # kernels are chosen and compiled in the first call
        for _ in range(_ROUNDS):
            start = time.process_time()
            probe(module)
            times.append(time.process_time() - start)
    return min(times)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _unet_probe(pipe: Any) -> Probe:
    config = pipe.unet.config
    latents = torch.zeros(2, config.in_channels, _PROBE_SIDE, _PROBE_SIDE)
    context = torch.zeros(2, 77, config.cross_attention_dim)
    added = None
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {"text_embeds": torch.zeros(2, pooled), "time_ids": torch.zeros(2, 6)}

    def probe(unet: Any) -> None:
        extra = added and {key: value.to(unet.dtype) for key, value in added.items()}
        unet(latents.to(unet.dtype), 500, encoder_hidden_states=context.to(unet.dtype), added_cond_kwargs=extra)

    return probe


def _vae_probe(pipe: Any) -> Probe:
    side = _PROBE_PIXELS // pipe.vae_scale_factor
    latents = torch.zeros(1, pipe.vae.config.latent_channels, side, side)

    def probe(vae: Any) -> None:
        vae.decode(latents.to(vae.dtype))

    return probe
