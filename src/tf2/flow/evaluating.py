"""How good a compressed model is: accuracy on labelled samples, layers against the float model."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tf2.arch import OverlayConfig
from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import EngineError
from tf2.evaluation import (
    Accuracy,
    Comparison,
    ExactComparison,
    PairedAccuracy,
    accuracy,
    exact_differences,
    paired_accuracy,
)
from tf2.evaluation import compare as compare_levels
from tf2.flow.places import open_labels, open_samples
from tf2.ir import Graph
from tf2.model_file import CompressedModel
from tf2.passes import canonicalize

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
ModelLike = str | os.PathLike[str] | CompressedModel | Graph


def evaluate(
    model: ModelLike,
    data: str | Path | Samples,
    *,
    labels: str | Path | None = None,
    engine: str = "int",
    against: str | None = None,
    source: str | Path | Graph | None = None,
    batch: int = 16,
    threads: int = 0,
    samples: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Accuracy | PairedAccuracy:
    """Return top-1 and top-5 of a classifier; with ``against``, of two engines sample by sample.

    Args:
        model: What `tf2.Session` takes.
        data: Labelled samples: a folder or zip of images, or an array file.
        labels: A CSV with the columns file,class_index, or ``FILE.npz:KEY``; None: each image's
            class is the folder that it lies in.
        engine: What runs the model.
        against: Another engine to hold it against.
        source: The float model, where it has moved.
        batch: Samples at a time.
        threads: Of one operator; 0 takes every core.
        samples: How many to draw; None takes all.
        seed: Of the draw.
        skip_bad: Leave out samples that cannot be used.
        progress: Told the share done.

    Raises:
        DataError: Samples or labels cannot be used.
        EngineError: The model cannot run.
    """
    session = Session(model, engine, threads=threads, source=source)
    if not isinstance(data, Samples):
        data = open_samples(data, session.preprocessing, session.graph)
    chosen, classes = data, open_labels(labels, data, session.labels)
    if samples is not None and samples < len(data):
        chosen = data.take(samples, seed)
        where = {name: i for i, name in enumerate(data.names)}
        classes = classes[[where[name] for name in chosen.names]]
    if skip_bad:
        good = chosen.without_bad()
        bad = {skipped.name for skipped in good.skipped}
        classes = classes[[name not in bad for name in chosen.names]]
        chosen = good
    if against is None:
        return accuracy(session, chosen, classes, batch=batch, progress=progress)
    other = Session(model, against, threads=threads, source=source)
    return paired_accuracy(session, other, chosen, classes, batch=batch, progress=progress)


def compare(
    model: ModelLike,
    data: str | Path | Samples,
    *,
    engine: str = "int",
    source: str | Path | Graph | None = None,
    samples: int = 8,
    seed: int = 0,
    limit_db: float = 10.0,
    threads: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Return how far a compressed model is from its float model, value by value.

    Args:
        model: A compressed model or its file.
        data: Samples; no labels needed.
        engine: The level that is held against float.
        source: The float model, where it has moved.
        samples: How many to draw.
        seed: Of the draw.
        limit_db: SQNR below which a value counts as diverged.
        threads: Of one operator; 0 takes every core.
        progress: Told the share done.

    Raises:
        DataError: Samples cannot be used.
        EngineError: The float model cannot be found.
    """
    session = Session(model, engine, threads=threads, source=source)
    if session.compressed is None:
        raise EngineError("only a compressed model (.tf2) can be compared with its float model")
    if not isinstance(data, Samples):
        data = open_samples(data, session.preprocessing, session.graph)
    imported = Session(model, "float", threads=threads, source=source)
    reference = Session(canonicalize(imported.graph).graph, "float", threads=threads)
    result = compare_levels(
        reference, session, data.take(samples, seed), limit_db=limit_db, progress=progress
    )
    return _without_scaled(result) if session.compressed.manifest.settings.per_channel else result


def compare_exactly(
    model: ModelLike,
    data: str | Path | Samples,
    *,
    engine: str = "rtl",
    against: str = "int",
    overlay: str | OverlayConfig | None = None,
    samples: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> ExactComparison:
    """Return where two integer engines differ, element by element.

    Args:
        model: A compressed model or its file.
        data: Samples; no labels needed.
        engine: The level that is looked at: "functional", "rtl" or "int".
        against: The reference.
        overlay: Of engines of the array.
        samples: How many to draw.
        seed: Of the draw.
        progress: Told what is done.

    Raises:
        DataError: Samples cannot be used.
        EngineError: An engine cannot run the model.
    """
    reference = Session(model, against, overlay=overlay, progress=progress)
    other = Session(model, engine, overlay=overlay, progress=progress)
    if not isinstance(data, Samples):
        data = open_samples(data, reference.preprocessing, reference.graph)
    return exact_differences(reference, other, data.take(samples, seed), progress=progress)


def _without_scaled(result: Comparison) -> Comparison:
    """Drop feature bytes: per-channel scales multiplied the float network's channels before."""
    logger.warning("per-channel scales change inner values: only what is float is compared")
    return replace(result, values=tuple(v for v in result.values if v.place == "float"))
