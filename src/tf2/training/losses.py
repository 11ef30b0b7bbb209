"""What is made small: cross entropy, and the distance from another network's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tf2.errors import DataError, TrainingError
from tf2.training.data import check_classes

Loss = Callable[[Any, Any], Tensor]
"""Of the network's outputs and the targets of a batch; a mean over the batch."""


def logits_of(module_outputs: Any) -> Tensor:
    """Return the scores (N, classes) of a network with one output.

    Raises:
        TrainingError: It is no classifier: give a loss of your own.
    """
    if not isinstance(module_outputs, Tensor):
        raise TrainingError("a network of several outputs needs a loss of your own (--loss)")
    scores = module_outputs.flatten(1)
    if scores.shape[1] != module_outputs.shape[1] and module_outputs.shape[-1] != scores.shape[1]:
        raise TrainingError(
            f"outputs of shape {tuple(module_outputs.shape)} are no class scores: give a loss of "
            "your own (--loss)"
        )
    return scores


def cross_entropy(outputs: Any, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of class scores.

    Raises:
        DataError: The targets name no classes of the network.
    """
    scores = logits_of(outputs).float()
    if not isinstance(targets, Tensor) or targets.shape != scores.shape[:1]:
        found = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise DataError(
            f"targets ({found}) are not one class for each of {len(scores)} samples: give a loss "
            "of your own (--loss)"
        )
    check_classes(targets.detach().cpu().numpy(), scores.shape[1])
    return functional.cross_entropy(scores, targets.long())


def distance(outputs: Any, wanted: Any, temperature: float) -> Tensor:
    """Return how far class scores are from those of another network (Hinton et al. 2015).

    Args:
        outputs: The trained network's.
        wanted: The other's; no gradient goes there.
        temperature: Both are divided by it.
    """
    answers = torch.softmax(logits_of(wanted).detach().float() / temperature, 1)
    found = torch.log_softmax(logits_of(outputs).float() / temperature, 1)
    return functional.kl_div(found, answers, reduction="batchmean") * temperature**2


def right_answers(outputs: Any, y: Any) -> tuple[float, float]:
    """Return how many classes are right, and of how many; (0, 0) where they are no classes."""
    if not isinstance(outputs, Tensor) or not isinstance(y, Tensor):
        return 0.0, 0.0
    if y.ndim != 1 or y.is_floating_point() or len(outputs) != len(y):
        return 0.0, 0.0
    return float((outputs.detach().flatten(1).argmax(1) == y).sum()), float(len(y))
