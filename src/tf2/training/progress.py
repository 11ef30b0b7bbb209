"""Where a training is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training is.

    Attributes:
        step: Of the schedule, from 1.
        steps: How many.
        share: Of weights on the grid.
        epoch: Of the step, from 1.
        epochs: Of the step.
        batch: Of the epoch, from 1.
        batches: Of the epoch.
        loss: Mean of the epoch so far.
        accuracy: On the training samples of the epoch so far; None where targets are no classes.
        top1: Of validation after the epoch; None before, and without validation data.
        seconds: Since the training began, interruptions left out.
        left: Seconds to go, estimated.
    """

    step: int
    steps: int
    share: float
    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float | None
    top1: float | None
    seconds: float
    left: float
