"""Top-1 and top-5 on labelled samples, and the same for two engines sample by sample."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import DataError
from tf2.evaluation.scores import Ranks, class_scores, ranks

Progress = Callable[[str, float], None]
Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often a model is right.

    Attributes:
        top1: Share of samples whose true class scores best, 0..1.
        top5: Share of samples whose true class is among the five best, 0..1.
        samples: N.
        ties: Samples whose best score is shared by classes; the lowest index counts.
        images_per_second: Of the engine alone: reading and preparing images is not in it.
    """

    top1: float
    top5: float
    samples: int
    ties: int
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class PairedAccuracy:
    """Two engines on the same samples.

    Attributes:
        first: The engine that is asked about.
        second: The one it is held against.
        points: Top-1 of the first minus the second's, in points of a hundred.
        standard_error: Of ``points``, from the differences sample by sample.
        agreement: Share of samples for which both name the same class.
    """

    first: Accuracy
    second: Accuracy
    points: float
    standard_error: float
    agreement: float


def accuracy(
    session: Session,
    samples: Samples,
    classes: NDArray[np.int64],
    *,
    batch: int = 16,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Accuracy:
    """Return the accuracy of the session's first output.

    Args:
        session: A classifier.
        samples: What to classify.
        classes: Their true classes, (N,).
        batch: Samples at a time; 1 where the model's batch is fixed.
        progress: Told the share done.
        clock: Seconds.

    Raises:
        DataError: A sample cannot be used, or the output is no row of class scores.
    """
    return _measured(session, samples, classes, batch, progress, clock)[0]


def paired_accuracy(
    first: Session,
    second: Session,
    samples: Samples,
    classes: NDArray[np.int64],
    *,
    batch: int = 16,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> PairedAccuracy:
    """Return the accuracy of two sessions on the same samples, and how sure the difference is.

    The standard error is that of the mean of the differences d = right(first) - right(second) in
    {-1, 0, 1}: sd(d)/sqrt(N), far smaller than that of two accuracies measured apart.

    Raises:
        DataError: As `accuracy`.
    """
    a, a_ranks = _measured(first, samples, classes, batch, _half(progress, 0.0), clock)
    b, b_ranks = _measured(second, samples, classes, batch, _half(progress, 0.5), clock)
    difference = (a_ranks.rank == 0).astype(np.float64) - (b_ranks.rank == 0)
    spread = float(difference.std(ddof=1)) if len(difference) > 1 else math.nan
    return PairedAccuracy(
        first=a,
        second=b,
        points=100.0 * float(difference.mean()),
        standard_error=100.0 * spread / math.sqrt(len(difference)),
        agreement=float((a_ranks.best == b_ranks.best).mean()),
    )


def _measured(
    session: Session,
    samples: Samples,
    classes: NDArray[np.int64],
    batch: int,
    progress: Progress | None,
    clock: Clock,
) -> tuple[Accuracy, Ranks]:
    if not len(samples):
        raise DataError("there are no samples to evaluate")
    if len(classes) != len(samples):
        raise DataError(f"{len(classes)} labels for {len(samples)} samples")
    output = session.graph.outputs[0]
    size = batch if session.graph.batch_is_free else 1
    parts: list[Ranks] = []
    seconds, done = 0.0, 0
    for inputs in samples.batches(size):
        feeds = inputs.feed(session.graph.inputs)
        if not done:
            session.run([output], feeds)  # the first run allocates; it is not timed
        start = clock()
        (scores,) = session.run([output], feeds)
        seconds += clock() - start
        count = len(inputs.names)
        true = classes[done : done + count]
        parts.append(ranks(class_scores(scores, name=output), true))
        done += count
        if progress:
            progress(f"evaluate {session.engine}", done / len(samples))
    whole = Ranks(
        rank=np.concatenate([part.rank for part in parts]),
        best=np.concatenate([part.best for part in parts]),
        tied=np.concatenate([part.tied for part in parts]),
    )
    figures = Accuracy(
        top1=float((whole.rank == 0).mean()),
        top5=float((whole.rank < 5).mean()),
        samples=done,
        ties=int(whole.tied.sum()),
        images_per_second=done / seconds if seconds > 0 else math.inf,
    )
    return figures, whole


def _half(progress: Progress | None, start: float) -> Progress | None:
    return progress and (lambda stage, share: progress(stage, start + share / 2))
