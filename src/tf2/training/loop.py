"""The training loop: steps of the schedule, epochs, batches; interrupted and resumed anywhere."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tf2.errors import TrainingError
from tf2.training.checkpoint import (
    Checkpoint,
    Position,
    fingerprint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from tf2.training.constraint import Constraint
from tf2.training.data import Batches, TrainingSet, epochs_done
from tf2.training.inq import Inq
from tf2.training.int8_features import FLOAT
from tf2.training.interruption import Interruption
from tf2.training.losses import Loss, cross_entropy, distance, right_answers
from tf2.training.module import GraphModule
from tf2.training.placement import moved, placed, uses_bf16
from tf2.training.processes import Processes
from tf2.training.progress import Progress
from tf2.training.settings import TrainingSettings
from tf2.training.start import Start

logger = logging.getLogger(__name__)

Validation = Callable[[GraphModule], float]
"""Top-1, 0..1, of a module in evaluation mode."""


class Trainer:
    """Trains a start on its data; see `run`.

    Args:
        start: What to train.
        settings: How.
        data: On what.
        processes: This one among all.
        outputs: Values the loss is given; default the graph's outputs.
        loss: Default: cross entropy.
        validation: Measured after each epoch.
        constraint: Of the module's weights; default: INQ as the settings say.
        belongs_to: What a checkpoint must agree in beside start, settings and data.
        workers: Processes that read ahead.
        progress: Told after every batch, in the leading process.
        clock: Seconds.
    """

    def __init__(
        self,
        start: Start,
        settings: TrainingSettings,
        data: TrainingSet,
        processes: Processes,
        *,
        outputs: tuple[str, ...] | None = None,
        loss: Loss | None = None,
        validation: Validation | None = None,
        constraint: Callable[[GraphModule], Constraint] | None = None,
        belongs_to: Mapping[str, str] | None = None,
        workers: int = 0,
        progress: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.settings = settings
        self.history: list[dict[str, Any]] = []
        self._processes = processes
        features = start.features() if settings.int8_features else FLOAT
        self.module = GraphModule(
            start.graph, outputs=outputs, batch_norm=settings.batch_norm, features=features
        )
        placed(self.module, processes.device)
        made = constraint or (lambda module: _inq(module, start, settings))
        self.constraint = made(self.module)
        groups = self.constraint.groups(self.module, weight_decay=settings.weight_decay)
        nesterov = settings.momentum > 0
        self._optimizer = torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov
        )
        self.constraint.attach(self._optimizer)
        self._loss = loss or cross_entropy
        self._teacher = GraphModule(start.float_graph, outputs=outputs).eval()
        if settings.distill:
            placed(self._teacher, processes.device)
        self._batches = Batches(
            data,
            size=settings.batch,
            seed=settings.seed,
            rank=processes.rank,
            world=processes.world,
            workers=workers,
        )
        self._autocast = uses_bf16(settings.amp, processes.device)
        self._validation = validation
        self._progress = progress
        self._clock = clock
        self._belongs_to = {**fingerprint(start, settings, len(data)), **(belongs_to or {})}
        self._position = Position()
        self._seconds = 0.0
        self._interruption = Interruption()

    @property
    def inq(self) -> Inq:
        """The grids of a training without a constraint of its own."""
        assert isinstance(self.constraint, Inq)
        return self.constraint

    def resume(self, path: Path) -> bool:
        """Go on from a checkpoint; False where there is none.

        Raises:
            TrainingError: It is damaged or belongs to another training.
        """
        if not path.exists():
            return False
        checkpoint = read_checkpoint(path, self._belongs_to)
        tensors = checkpoint.tensors
        state = self.module.state_dict()
        self.module.load_state_dict({name: tensors[f"module/{name}"] for name in state})
        prefix = "inq/"
        self.constraint.load(
            {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        )
        restore_optimizer(self._optimizer, tensors)
        self._position, self.history = checkpoint.position, checkpoint.history
        self._seconds = checkpoint.seconds
        return True

    def run(self, checkpoint: Path | None = None) -> None:
        """Train to the end of the schedule; afterwards every weight is on its grid.

        Args:
            checkpoint: Written after every epoch and when interrupted; removed by the caller.

        Raises:
            TrainingError: The loss is NaN or infinite; names the step, and the checkpoint before.
            KeyboardInterrupt: Ctrl-C; says where the state is.
        """
        began = self._clock() - self._seconds
        network = self._processes.wrapped(self.module)
        plan = list(enumerate(self.settings.epochs_of_steps))
        with self._interruption.noted():
            for step, epochs in plan[self._position.step :]:
                first_epoch = self._position.epoch
                if (first_epoch, self._position.batch) == (0, 0):
                    self._optimizer.state.clear()
                    self.constraint.freeze(self.settings.schedule[step])
                for epoch in range(first_epoch, epochs):
                    self._epoch(network, step, epoch, began, checkpoint)
                    ended = epoch + 1 == epochs
                    self._position = Position(step + 1) if ended else Position(step, epoch + 1)
                    self._save(checkpoint, began)
            # What came after the last batch, while it was measured, no batch has seen.
            wanted = torch.tensor(float(self._interruption.wanted), device=self._processes.device)
            if self._processes.summed(wanted):
                raise KeyboardInterrupt(f"interrupted{_kept(checkpoint, resume=True)}")

    def _epoch(
        self, network: nn.Module, step: int, epoch: int, began: float, checkpoint: Path | None
    ) -> None:
        settings, count = self.settings, self._batches.count
        epochs = settings.epochs_of_steps[step]
        first = self._position.batch
        sums = torch.zeros(4, dtype=torch.float64)  # loss, right, answers, batches
        self.module.train()
        running = epochs_done(step, epoch, settings.epochs_of_steps)
        for number, (x, y) in enumerate(self._batches.epoch(running, first), start=first):
            rate = settings.rate(epoch * count + number, epochs * count, count)
            figures = self._batch(network, x, y, rate)
            if not math.isfinite(float(figures[0])):
                raise TrainingError(
                    f"the loss became {float(figures[0])} in step {step + 1} "
                    f"({100 * settings.schedule[step]:g} %), epoch {epoch + 1}, batch {number + 1}"
                    f"{_kept(checkpoint)}. Lower the learning rate (now {rate:.2g})"
                )
            sums += torch.cat([figures[:3], torch.ones(1)])
            report = self._report(step, epoch, number + 1, sums, began)
            if self._progress and self._processes.leads and number + 1 < count:
                self._progress(report)
            if figures[3]:
                self._position = Position(step, epoch, number + 1)
                self._save(checkpoint, began)
                raise KeyboardInterrupt(f"interrupted{_kept(checkpoint, resume=True)}")
        self._end_epoch(step, epoch, sums, began)

    def _end_epoch(self, step: int, epoch: int, sums: Tensor, began: float) -> None:
        top1 = None
        if self._validation and self._processes.leads:
            self.module.eval()
            top1 = self._validation(self.module)
        report = self._report(step, epoch, self._batches.count, sums, began, top1)
        self.history.append({k: v for k, v in vars(report).items() if k not in ("left", "batch")})
        if self._progress and self._processes.leads:
            self._progress(report)

    def _batch(self, network: nn.Module, x: Any, y: Any, rate: float) -> Tensor:
        """Train on one batch; return loss, right answers, answers and the wish to stop, summed."""
        device = self._processes.device
        x, y = moved(x, device, images_last=True), moved(y, device)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._autocast):
            outputs = network(x)
            loss = self._loss(outputs, y)
            if self.settings.distill:
                with torch.no_grad():
                    wanted = self._teacher(x)
                far = distance(outputs, wanted, self.settings.temperature)
                loss = (1 - self.settings.distill) * loss + self.settings.distill * far
        loss.backward()
        right, answers = right_answers(outputs, y)
        world = self._processes.world
        own = [loss.item() / world, right, answers, float(self._interruption.wanted)]
        figures = self._processes.summed(
            torch.tensor(own, dtype=torch.float64, device=device)
        ).cpu()
        if self.settings.clip:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip)
        if math.isfinite(float(figures[0])):
            self._optimizer.step()
        return figures

    def _report(
        self,
        step: int,
        epoch: int,
        batch: int,
        sums: Tensor,
        began: float,
        top1: float | None = None,
    ) -> Progress:
        settings, count = self.settings, self._batches.count
        plan = settings.epochs_of_steps
        done = epochs_done(step, epoch, plan) * count + batch
        seconds = self._clock() - began
        return Progress(
            step=step + 1,
            steps=len(plan),
            share=settings.schedule[step],
            epoch=epoch + 1,
            epochs=plan[step],
            batch=batch,
            batches=count,
            loss=float(sums[0] / sums[3]),
            accuracy=float(sums[1] / sums[2]) if sums[2] else None,
            top1=top1,
            seconds=seconds,
            left=seconds / done * (sum(plan) * count - done),
        )

    def _save(self, path: Path | None, began: float) -> None:
        self._seconds = self._clock() - began
        if path is None or not self._processes.leads:
            return
        tensors: dict[str, Tensor] = {
            **{f"module/{n}": t for n, t in self.module.state_dict().items()},
            **{f"inq/{n}": t for n, t in self.constraint.state().items()},
            **optimizer_tensors(self._optimizer),
        }
        state = Checkpoint(
            position=self._position, tensors=tensors, history=self.history, seconds=self._seconds
        )
        try:
            write_checkpoint(path, state, self._belongs_to)
        except OSError as error:  # the training is worth more than its checkpoint
            logger.warning("%s cannot be written: %s; training goes on", path, error)


def _inq(module: GraphModule, start: Start, settings: TrainingSettings) -> Inq:
    return Inq(
        module,
        start.layers,
        bits=settings.bits,
        mode=settings.method,
        order=settings.order,
        train_gains=settings.train_gains,
        seed=settings.seed,
    )


def _kept(checkpoint: Path | None, *, resume: bool = False) -> str:
    if checkpoint is None:
        return ""
    return f"; the state is in {checkpoint}" + (", go on with --resume" if resume else "")
