"""The options of ``tf2 compress --method inq``, and what a training shows while it runs."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tf2.training.progress import Progress
    from tf2.training.settings import TrainingSettings

GROUP = "Training (--method inq, qat)"


def _option(*names: str, **options: Any) -> Any:
    return typer.Option(*names, rich_help_panel=GROUP, **options)


class Augment(StrEnum):
    """How training images are varied."""

    AUTO = "auto"
    NONE = "none"
    FLIP = "flip"
    CROP = "crop"
    VIEW = "view"


Train = Annotated[
    str | None,
    _option(
        "--train",
        metavar="DIR|ZIP|FILE|module:function",
        help="Labelled samples, or what makes a torch dataset; for --method inq and qat.",
    ),
]
TrainLabels = Annotated[
    str | None,
    _option("--train-labels", metavar="FILE.csv|FILE.npz:KEY", help="Default: by folder."),
]
Recipe = Annotated[
    Path | None,
    _option("--recipe", metavar="FILE.json", help="Training settings; options go before it."),
]
Schedule = Annotated[
    str | None,
    _option("--schedule", metavar="50,75,87.5,100", help="Per cent of weights on the grid."),
]
Epochs = Annotated[
    str | None,
    _option("--epochs", metavar="N|N,N,...", help="Epochs of each step of the schedule."),
]
Bits = Annotated[int | None, _option("--bits", min=2, max=4, help="Of the weights.")]
Rate = Annotated[float | None, _option("--lr", help="Largest learning rate.")]
BatchSize = Annotated[int | None, _option("--batch", min=1, help="Samples a step.")]
Distill = Annotated[
    float | None,
    _option("--distill", min=0, max=1, help="Share of the loss by the float network's answers."),
]
Augmentation = Annotated[Augment | None, _option("--augment", help="How images are varied.")]
LossFunction = Annotated[
    str | None,
    _option("--loss", metavar="module:function", help="Of (outputs, targets); a mean."),
]
Workers = Annotated[int, _option("--workers", min=0, help="Processes that read ahead.")]
Device = Annotated[str, _option("--device", metavar="auto|cpu|cuda", help="What trains.")]
Threads = Annotated[int, _option("--threads", min=0, help="CPU threads of training; 0: torch's.")]
CheckpointFile = Annotated[
    Path | None,
    _option("--checkpoint", metavar="FILE", help="State of the training; default OUT.checkpoint."),
]
Resume = Annotated[bool, _option("--resume", help="Go on from the checkpoint, if there is one.")]
DryRun = Annotated[
    int | None,
    _option("--dry-run", metavar="N", min=1, help="Only N batches a step, to see that all fits."),
]
Log = Annotated[
    Path | None, _option("--log", metavar="FILE", help="Append a JSON line for each epoch.")
]


def settings_of(recipe: Path | None, **options: Any) -> TrainingSettings:
    """Return the training settings of a recipe and of the options that were given beside it."""
    from tf2.training.settings import TrainingSettings

    given = {name: value for name, value in options.items() if value is not None}
    if "schedule" in given:
        shares = _numbers(given["schedule"], "--schedule", float)
        given["schedule"] = tuple(share / 100 for share in shares)
    if "epochs" in given:
        counts = _numbers(given["epochs"], "--epochs", int)
        given["epochs"] = counts[0] if len(counts) == 1 else counts
    base = TrainingSettings() if recipe is None else TrainingSettings.load(recipe)
    return base.changed(**given)


def _numbers(text: str, name: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    try:
        return tuple(kind(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers", param_hint=name) from error


@contextmanager
def epochs_shown(log: Path | None) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows a line an epoch on stderr, and a bar where somebody watches.

    Args:
        log: File that gets a JSON line for each epoch.
    """
    watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    last = 0.0

    def show(progress: Progress) -> None:
        nonlocal last
        ended = progress.batch == progress.batches
        if watched and (ended or time.monotonic() - last > 0.5):
            last = time.monotonic()
            sys.stderr.write(f"\r\033[K{line_of(progress)}" + ("\n" if ended else ""))
            sys.stderr.flush()
        elif ended:
            typer.echo(line_of(progress), err=True)
        if ended and log is not None:
            with log.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(progress)) + "\n")

    yield show


def line_of(progress: Progress) -> str:
    """Return a training's progress in one line."""
    p = progress
    parts = [
        f"step {p.step}/{p.steps} ({100 * p.share:g} %)",
        f"epoch {p.epoch}/{p.epochs}",
        f"batch {p.batch}/{p.batches}",
        f"loss {p.loss:.4f}",
    ]
    if p.accuracy is not None:
        parts.append(f"training {100 * p.accuracy:.2f} %")
    if p.top1 is not None:
        parts.append(f"top-1 {100 * p.top1:.2f} %")
    parts.append(f"{_time(p.seconds)} done, {_time(p.left)} left")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )
