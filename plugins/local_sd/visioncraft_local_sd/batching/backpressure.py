"""How far Python is ahead of a GPU, which computes while Python goes on."""

from __future__ import annotations

import torch


class Pace:
    """Lets Python prepare one denoiser call while the GPU is busy with another, and no more.

    Were it further ahead, progress would tell of steps that are not taken yet, and a request that arrives would wait
    for all that is queued on the GPU.
    """

    def __init__(self) -> None:
        self._before: torch.cuda.Event | None = None

    def __call__(self) -> None:
        """Called after each denoiser call: waits for the one before it."""
        now: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        now.record()
        if self._before is not None:
            self._before.synchronize()
        self._before = now
