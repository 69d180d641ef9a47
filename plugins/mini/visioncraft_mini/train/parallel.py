"""Several one-thread processes that average their gradients.

Two OpenMP threads inside one process collapse as soon as anything else wants a core: every parallel region waits
for its slowest thread. Two processes of one thread each meet once a step instead.
"""

import os
import socket
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

Worker = Callable[[], None]


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _enter(rank: int, world: int, port: int, worker: Worker) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    try:
        worker()
    finally:
        dist.destroy_process_group()


def run(worker: Worker, processes: int) -> None:
    """Run ``worker`` in that many processes and wait; with one process, run it right here."""
    if processes <= 1:
        worker()
        return
    spawn(_enter, args=(processes, free_port(), worker), nprocs=processes)  # type: ignore[no-untyped-call]


def device() -> torch.device:
    """Where to compute: a CUDA card where there is one (then one process is enough), else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rank() -> int:
    """Which process this is; 0 when alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor by its mean over the processes, in one message of bfloat16."""
    if world() == 1:
        return
    parts = list(tensors)
    flat = torch.cat([part.reshape(-1).to(torch.bfloat16) for part in parts])
    dist.all_reduce(flat)
    flat /= world()
    for part, mean in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
        part.copy_(mean.view(part.shape))


def average_gradients(model: nn.Module, number: float = 0.0) -> float:
    """The mean gradient over the processes, so that all of them take the same step; and the mean of ``number``.

    Progress read off a clock differs by a hair between processes: the mean, in the same message, is what they share.
    """
    if world() == 1:
        return number
    shared = torch.tensor([number])
    average([*(p.grad for p in model.parameters() if p.grad is not None), shared])
    return float(shared)


def shared_number(value: float) -> float:
    """Process 0's number, for what is read off a clock."""
    if world() == 1:
        return value
    answer = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(answer, 0)
    return float(answer.item())
