"""What of a module an optimizer moves, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return an optimizer's parameter groups: weights decay, vectors do not."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


class Free:
    """No constraint at all; a `tf2.training.constraint.Constraint`."""

    def freeze(self, share: float) -> None:
        """Begin."""

    def groups(self, module: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups."""
        return parameter_groups(module, weight_decay)

    def attach(self, optimizer: Optimizer) -> Optimizer:
        """Return the optimizer as it is."""
        return optimizer

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is no state."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing back."""
