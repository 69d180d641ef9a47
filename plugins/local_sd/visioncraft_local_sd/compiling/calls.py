"""The inputs of a call: described in JSON for another process, and made again there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Described = Mapping[str, Any]


_ROWS = 2
"""In a description, however many a call has: `torch.export` takes one row for a number that never changes."""


def described(value: Any) -> Any:
    """Tensors by type, layout and shape but for their rows; what else a call has (None, bool) as it is; in mappings."""
    if isinstance(value, Mapping):
        return {name: described(part) for name, part in value.items()}
    if not isinstance(value, torch.Tensor):
        return value
    channels_last = value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
    dtype = str(value.dtype).removeprefix("torch.")
    return {"tensor": {"shape": [_ROWS, *value.shape[1:]], "dtype": dtype, "channels_last": channels_last}}


def made(description: Any) -> Any:
    """What was described, with zeros in its tensors."""
    return _each_tensor(description, _zeros)


def with_any_rows(description: Any) -> Any:
    """The same, as `torch.export` wants to be told that the first dimension of every tensor varies."""
    return _each_tensor(description, lambda _: {0: torch.export.Dim.AUTO}, lambda _: None)


def _each_tensor(
    description: Any, tensor: Callable[[Described], Any], other: Callable[[Any], Any] = lambda value: value
) -> Any:
    if not isinstance(description, Mapping):
        return other(description)
    if set(description) == {"tensor"}:
        return tensor(description["tensor"])
    return {name: _each_tensor(part, tensor, other) for name, part in description.items()}


def _zeros(tensor: Described) -> torch.Tensor:
    zeros = torch.zeros(tensor["shape"], dtype=getattr(torch, tensor["dtype"]))
    return zeros.to(memory_format=torch.channels_last) if tensor["channels_last"] else zeros
