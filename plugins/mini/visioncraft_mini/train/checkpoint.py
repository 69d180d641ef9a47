"""One training run: everything that a restart needs, and how it is written down."""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from visioncraft_mini.train import parallel
from visioncraft_mini.train.clock import Clock
from visioncraft_mini.train.optim import Average, Pair

# What a folder of checkpoints may travel in: 16 MiB a file.
PIECE = 16 * 2**20
Model = TypeVar("Model", bound=nn.Module)


@dataclass
class Training(Generic[Model]):
    """A model on its way.

    Args:
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
        """Write the checkpoint's pieces into the folder ``path``."""
        content = {
            "model": self.model.state_dict(),
            "optimisers": self.pair.state_dict(),
            "average": self.average.shadow,
            "spent": self.clock.spent,
            "step": self.step,
            "seen": self.seen,
        }
        write_pieces(path, content)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        saved = read_pieces(path)
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.pair.load_state_dict(saved["optimisers"])
        self.average.load(saved["average"])
        self.clock.spent_before = saved["spent"]
        self.step, self.seen = saved["step"], saved["seen"]


def write_pieces(folder: Path, content: object, size: int = PIECE) -> None:
    """``torch.save`` into files of ``size`` bytes, in a scratch folder first: a kill leaves the older one whole."""
    stream = io.BytesIO()
    torch.save(content, stream)
    scratch, former = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    stream.seek(0)
    for number in range(-(-stream.getbuffer().nbytes // size)):
        (scratch / f"{number:03d}.pt").write_bytes(stream.read(size))
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.replace(former)
    scratch.replace(folder)
    shutil.rmtree(former, ignore_errors=True)


def read_pieces(folder: Path) -> Any:
    """What ``write_pieces`` wrote, or None; the former one where a kill came between the two renames."""
    for place in (folder, folder.with_name(folder.name + ".old")):
        pieces = sorted(place.glob("*.pt"))
        if pieces:
            stream = io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))
            return torch.load(stream, weights_only=True, map_location="cpu")
    return None
