"""Muon for the matrices, Adam for the rest.

Muon (K. Jordan and others, 2024) replaces the momentum matrix of a weight by the nearest orthogonal one, found by
five Newton-Schulz iterations. On this model it needs about half the steps that Adam needs. Each process
orthogonalises its share of the matrices and the shares are summed, so two processes do the work once.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from visioncraft_mini.train import parallel

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly: singular values end between 0.7 and 1.2.

    ``matrix`` is [rows, columns]; the quintic's coefficients are those of Jordan's Muon.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix.to(torch.bfloat16)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov, orthogonalisation; weights of any shape are read as [out, everything else]."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every weight from its gradient."""
        for group in self.param_groups:
            updates = self._updates(group["params"], group["momentum"])
            for weight, update in zip(group["params"], updates, strict=True):
                rows, columns = weight.size(0), weight[0].numel()
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update.view(weight.shape), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _updates(self, weights: list[Tensor], momentum: float) -> list[Tensor]:
        """The orthogonalised momenta, each computed by one process and shared with all."""
        updates = []
        for number, weight in enumerate(weights):
            gradient = _gradient(weight).reshape(weight.size(0), -1)
            buffer = self.state[weight].setdefault("momentum", torch.zeros_like(gradient))
            buffer.lerp_(gradient, 1 - momentum)
            mine = number % parallel.world() == parallel.rank()
            look_ahead = gradient.lerp(buffer, momentum)
            updates.append(orthogonalise(look_ahead) if mine else torch.zeros_like(look_ahead, dtype=torch.bfloat16))
        return _shared(updates)


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise RuntimeError("a weight took no part in the loss: freeze it or leave it out of the optimiser")
    return weight.grad


def _shared(updates: list[Tensor]) -> list[Tensor]:
    if parallel.world() == 1:
        return updates
    flat = torch.cat([update.reshape(-1) for update in updates])
    dist.all_reduce(flat)
    return list(torch.split(flat, [update.numel() for update in updates]))


def split_parameters(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The hidden matrices for Muon; embeddings, norms, biases, first and last convolutions for Adam."""
    apart = ("embed", "conv_in", "conv_out", "quant_conv")
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        (rest if weight.ndim < 2 or any(word in name for word in apart) else matrices).append(weight)
    return matrices, rest


class Pair:
    """A Muon and an AdamW that are stepped, scheduled and saved together."""

    def __init__(self, model: nn.Module, muon: float, adam: float, decay: float = 0.0) -> None:
        matrices, rest = split_parameters(model)
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            Muon(matrices, lr=muon, decay=decay),
            torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        )
        self.peaks = (muon, adam)

    def step(self, scale: float) -> None:
        """Step both with their peak rates times ``scale``, then clear the gradients."""
        for optimiser, peak in zip(self.optimisers, self.peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, object]]:
        """What a checkpoint keeps."""
        return [optimiser.state_dict() for optimiser in self.optimisers]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        """Go on from a checkpoint."""
        for optimiser, state in zip(self.optimisers, states, strict=True):
            optimiser.load_state_dict(state)


class Average:
    """An exponential moving average of the weights: what is exported."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: value.detach().clone().float() for name, value in model.state_dict().items()}

    def load(self, shadow: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        for name, value in shadow.items():
            self.shadow[name].copy_(value)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights; early steps move faster, so that the start is forgotten."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.shadow[name].lerp_(value.float(), 1 - keep)
