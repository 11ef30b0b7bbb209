"""One training by one or many processes, as torchrun starts them: what they must agree in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """This process among all of them.

    Attributes:
        rank: 0 for the one that writes and reports.
        world: How many there are.
        device: Of this one.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def wrapped(self, module: nn.Module) -> nn.Module:
        """Return the module that averages gradients over all processes."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module, broadcast_buffers=False)

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def from_leader(self, value: Any) -> Any:
        """Return what the leading process gives; the others give None."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        """Leave the group."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join(device: str = "auto") -> Processes:
    """Return this process, having joined the others where torchrun started several.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    place = torch.device("cpu")
    if gpu:
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if gpu else "gloo")
    return Processes(rank, world, place)
