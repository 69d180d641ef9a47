"""What a layer's weights change by, for each of the ways of `adapters`, as a plain LoRA draws it.

The formulas are those of LyCORIS (https://github.com/KohakuBlueleaf/LyCORIS) and, for DoRA, of its paper
(https://arxiv.org/abs/2402.09353): m * (W + BA) / |W + BA|. Each change is written as two matrices, up and down, so
that PEFT can add it to the layer's own answer, in any weight, and take it away again. Where that takes full rank, the
change needs as much memory as the layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]


def down_and_up(tensors: Tensors, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two matrices of a layer's change, which PEFT calls A and B.

    Args:
        tensors: The layer's, in fp32, by their names behind the layer's own.
        weight: The layer's own weight, of a linear layer or a convolution.

    Raises `ValueError`, `KeyError` or `RuntimeError` where they do not fit each other.
    """
    if set(tensors) <= {"lora_down.weight", "lora_up.weight", "alpha"}:
        down, up = tensors["lora_down.weight"], tensors["lora_up.weight"] * _scale(tensors)
        ones = [1] * (weight.ndim - 2)
        return down.reshape(len(down), *weight.shape[1:]), up.reshape(len(weight), len(down), *ones)
    change = (_product(tensors) * _scale(tensors)).reshape(weight.shape)
    if "dora_scale" in tensors:
        change = _decomposed(tensors["dora_scale"], weight.float(), change)
    if weight.ndim == 4:
        return change, _identity(len(change), change)[..., None, None]
    if weight.shape[0] <= weight.shape[1]:
        return change, _identity(len(change), change)
    return _identity(change.shape[1], change), change


def _product(tensors: Tensors) -> torch.Tensor:
    """The change before its scale, in a shape that has as many numbers as the layer's weight."""
    if "diff" in tensors:
        return tensors["diff"]
    if "hada_w1_a" in tensors:
        return _part(tensors, "hada", "1") * _part(tensors, "hada", "2")
    if any(name.startswith("lokr_") for name in tensors):
        first, second = _part(tensors, "lokr", "1"), _part(tensors, "lokr", "2")
        return torch.kron(first[..., None, None] if second.ndim == 4 else first, second.contiguous())
    down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
    if "lora_mid.weight" in tensors:
        return torch.einsum("pqkl,qi,op->oikl", tensors["lora_mid.weight"], down.flatten(1), up.flatten(1))
    return up.flatten(1) @ down.flatten(1)


def _part(tensors: Tensors, kind: str, number: str) -> torch.Tensor:
    """One of the two factors of a LoHa or LoKr, which may itself come as two or three."""
    whole = tensors.get(f"{kind}_w{number}")
    if whole is not None:
        return whole
    first, second = tensors[f"{kind}_w{number}_a"], tensors[f"{kind}_w{number}_b"]
    core = tensors.get(f"{kind}_t{number}")
    return first @ second if core is None else torch.einsum("ijkl,jr,ip->prkl", core, second, first)


def _scale(tensors: Tensors) -> float:
    """alpha by rank; 1 without the one or the other, as for a LoKr of two whole factors."""
    ranked = ("lora_down.weight", "hada_w1_b", "lokr_w1_b", "lokr_w2_b")
    rank = next((len(tensors[name]) for name in ranked if name in tensors), None)
    return float(tensors["alpha"]) / rank if rank and "alpha" in tensors else 1.0


def _decomposed(magnitude: torch.Tensor, weight: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """A DoRA's change: the changed weight has these lengths, by outputs or, as LyCORIS also writes it, by inputs."""
    changed = weight + change
    by_output = magnitude.shape[0] == weight.shape[0]
    others = [axis for axis in range(weight.ndim) if axis != (0 if by_output else 1)]
    length = torch.linalg.vector_norm(changed, dim=others, keepdim=True) + torch.finfo(torch.float32).eps
    decomposed: torch.Tensor = magnitude.reshape(length.shape) / length * changed
    return decomposed - weight


def _identity(size: int, like: torch.Tensor) -> torch.Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)
