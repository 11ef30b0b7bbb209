"""The trainings that pruning asks for, one after the other on one data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf2.errors import TrainingError

if TYPE_CHECKING:
    from tf2.pruning.prune import ConstraintOf
    from tf2.training.data import TrainingSet
    from tf2.training.loop import Trainer, Validation
    from tf2.training.losses import Loss
    from tf2.training.processes import Processes
    from tf2.training.progress import Progress
    from tf2.training.settings import TrainingSettings
    from tf2.training.start import Start


@dataclass(frozen=True)
class _Some:
    """Some samples of a training set."""

    data: TrainingSet
    indices: list[int]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Any]:
        """Return inputs and targets, varied as they are in the whole set."""
        return self.data.batch([self.indices[i] for i in indices], key)


@dataclass(frozen=True, kw_only=True)
class PruningStages:
    """The trainings that pruning asks for, on one data set; see `tf2.pruning.prune.Train`."""

    data: TrainingSet
    group: Processes
    outputs: tuple[str, ...] | None
    loss: Loss | None
    validation: Validation | None
    checkpoint: Path | None
    resume: bool
    workers: int
    epochs: Callable[[Progress], None] | None
    clock: Callable[[], float]
    history: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self,
        start: Start,
        settings: TrainingSettings,
        constraint: ConstraintOf,
        *,
        stage: str,
        belongs_to: Mapping[str, str],
        samples: int = 0,
    ) -> Trainer:
        """Return the trainer, having run."""
        from tf2.training.loop import Trainer

        state = self._state(stage)
        if state is not None and state.exists() and not self.resume:
            raise TrainingError(
                f"{state} holds a pruning not finished: resume it, or remove the file"
            )
        trainer = Trainer(
            start,
            settings,
            self._drawn(samples, settings.seed),
            self.group,
            outputs=self.outputs,
            loss=self.loss,
            validation=self.validation,
            constraint=constraint,
            belongs_to=belongs_to,
            workers=self.workers,
            progress=self.epochs,
            clock=self.clock,
        )
        if self.resume and state is not None:
            trainer.resume(state)
        trainer.run(state)
        self.history.extend({"stage": stage, **row} for row in trainer.history)
        return trainer

    def steps(self, settings: TrainingSettings, samples: int = 0) -> int:
        """Return the optimizer's steps in such a training."""
        from tf2.training.data import Batches

        size, world, data = settings.batch, self.group.world, self._drawn(samples, settings.seed)
        count = Batches(data, size=size, seed=0, rank=self.group.rank, world=world).count
        return count * sum(settings.epochs_of_steps)

    def inputs(self, samples: int, seed: int) -> Any:
        """Return inputs of so many samples of the data, drawn once."""
        drawn = self._drawn(samples, seed)
        return drawn.batch(range(min(samples, len(drawn))), (0, 0))[0]

    def _drawn(self, samples: int, seed: int) -> TrainingSet:
        if not 0 < samples < len(self.data):
            return self.data
        order = np.random.default_rng(seed).permutation(len(self.data))
        return _Some(self.data, order[:samples].tolist())

    def _state(self, stage: str) -> Path | None:
        if self.checkpoint is None or not stage:
            return self.checkpoint
        return self.checkpoint.with_name(f"{self.checkpoint.name}-{stage}")
