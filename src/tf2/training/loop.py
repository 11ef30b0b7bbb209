"""The training loop: steps of the schedule, epochs, batches; interrupted and resumed anywhere."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from tf2.errors import DataError, TrainingError
from tf2.training.checkpoint import (
    Checkpoint,
    Position,
    fingerprint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from tf2.training.data import Batches, TrainingSet, check_classes, epochs_done
from tf2.training.inq import Inq
from tf2.training.int8_features import FLOAT
from tf2.training.module import GraphModule
from tf2.training.processes import Processes
from tf2.training.settings import TrainingSettings
from tf2.training.start import Start

logger = logging.getLogger(__name__)

Loss = Callable[[Any, Any], Tensor]
"""Of the network's outputs and the targets of a batch; a mean over the batch."""

Validation = Callable[[GraphModule], float]
"""Top-1, 0..1, of a module in evaluation mode."""


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
        self._to_device(self.module)
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
            self._to_device(self._teacher)
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
        self._stop = False

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
        with self._interruptible():
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
        x, y = _moved(x, device, images_last=True), _moved(y, device)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._autocast):
            outputs = network(x)
            loss = self._loss(outputs, y)
            if self.settings.distill:
                loss = self._distilled(loss, outputs, x)
        loss.backward()
        right, answers = _right(outputs, y)
        world = self._processes.world
        own = [loss.item() / world, right, answers, float(self._stop)]
        figures = self._processes.summed(
            torch.tensor(own, dtype=torch.float64, device=device)
        ).cpu()
        if self.settings.clip:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip)
        if math.isfinite(float(figures[0])):
            self._optimizer.step()
        return figures

    def _distilled(self, loss: Tensor, outputs: Any, x: Any) -> Tensor:
        share, t = self.settings.distill, self.settings.temperature
        with torch.no_grad():
            wanted = torch.softmax(logits_of(self._teacher(x)).float() / t, 1)
        found = torch.log_softmax(logits_of(outputs).float() / t, 1)
        distance = functional.kl_div(found, wanted, reduction="batchmean") * t * t
        return (1 - share) * loss + share * distance

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

    def _to_device(self, module: nn.Module) -> None:
        module.to(self._processes.device)
        if any(p.ndim == 4 for p in module.parameters()):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the training after the batch at hand."""

        def stop(*_: Any) -> None:
            self._stop = True

        try:
            former = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: nobody interrupts us
            former = {}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


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


def uses_bf16(amp: str, device: torch.device) -> bool:
    """Tell whether layers are computed in bfloat16."""
    if amp != "auto":
        return amp == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _kept(checkpoint: Path | None, *, resume: bool = False) -> str:
    if checkpoint is None:
        return ""
    return f"; the state is in {checkpoint}" + (", go on with --resume" if resume else "")


def _moved(value: Any, device: torch.device, *, images_last: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {k: _moved(v, device, images_last=images_last) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(v, device, images_last=images_last) for v in value)
    if not isinstance(value, Tensor):
        return value
    if images_last and value.ndim == 4:
        return value.to(device, memory_format=torch.channels_last)
    return value.to(device)


def _right(outputs: Any, y: Any) -> tuple[float, float]:
    """Return how many classes are right, and of how many; (0, 0) where they are no classes."""
    if not isinstance(outputs, Tensor) or not isinstance(y, Tensor):
        return 0.0, 0.0
    if y.ndim != 1 or y.is_floating_point() or len(outputs) != len(y):
        return 0.0, 0.0
    return float((outputs.detach().flatten(1).argmax(1) == y).sum()), float(len(y))
