"""One training run: everything that a restart needs, and how it is written down."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from visioncraft_mini.train import parallel
from visioncraft_mini.train.clock import Clock
from visioncraft_mini.train.optim import Average, Pair

Model = TypeVar("Model", bound=nn.Module)


@dataclass
class Training(Generic[Model]):
    """A model on its way.

    Parameters
    ----------
    model: The weights that are trained.
    pair: Their optimisers.
    average: Their moving average, which is exported.
    clock: The budget of time.
    step: Updates so far.
    seen: Samples so far, over all processes.
    """

    model: Model
    pair: Pair
    average: Average
    clock: Clock
    step: int = 0
    seen: int = 0

    def advance(self, loss: Tensor, samples: int, rate: float) -> float:
        """One update from one batch's loss; returns the progress that all processes agree on."""
        loss.backward()  # type: ignore[no-untyped-call]
        progress = parallel.average_gradients(self.model, self.clock.progress)
        self.pair.step(rate)
        self.average.update(self.model, self.step)
        self.step += 1
        self.seen += samples * parallel.world()
        return progress

    def save(self, path: Path) -> None:
        """Write the checkpoint beside itself, then rename: a kill leaves the older one whole."""
        scratch = path.with_suffix(".tmp")
        content = {
            "model": self.model.state_dict(),
            "optimisers": self.pair.state_dict(),
            "average": self.average.shadow,
            "spent": self.clock.spent,
            "step": self.step,
            "seen": self.seen,
        }
        torch.save(content, scratch)
        scratch.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not path.exists():
            return
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.pair.load_state_dict(saved["optimisers"])
        self.average.shadow = saved["average"]
        self.clock.spent_before = saved["spent"]
        self.step, self.seen = saved["step"], saved["seen"]
