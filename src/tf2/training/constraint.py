"""What may hold weights while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Constraint(Protocol):
    """What holds weights to something while they are trained: grids (`inq`), masks (pruning)."""

    def freeze(self, share: float) -> None:
        """Begin a step of the schedule."""
        ...

    def groups(self, module: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups."""
        ...

    def attach(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Hold the weights at each step of an optimizer; returns it."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps, beside the module's parameters."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...
