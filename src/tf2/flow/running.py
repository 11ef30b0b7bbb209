"""A session over many samples: all outputs, or the best classes with their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.data import Samples
from tf2.engines import Session
from tf2.evaluation import class_scores, top_classes

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One class and its score.

    Attributes:
        index: Of the class.
        name: Of the class, where the model holds names.
        score: As the model gives it: a probability only after a softmax.
    """

    index: int
    name: str | None
    score: float


def run_samples(
    session: Session, samples: Samples, *, batch: int = 16, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Return every output for all samples, stacked along axis 0.

    Raises:
        DataError: A sample cannot be used.
        EngineError: The samples are not what the model takes.
    """
    size = batch if session.graph.batch_is_free else 1
    parts: list[list[np.ndarray]] = []
    done = 0
    for inputs in samples.batches(size):
        parts.append(session.run(None, inputs.feed(session.graph.inputs)))
        done += len(inputs.names)
        if progress:
            progress(f"run {session.engine}", done / len(samples))
    columns = zip(*parts, strict=True)
    whole = (_joined(column) for column in columns)
    return dict(zip(session.graph.outputs, whole, strict=True))


def classify(
    session: Session,
    images: Sequence[str | os.PathLike[str]],
    *,
    top: int = 5,
    batch: int = 16,
    progress: Progress | None = None,
) -> list[list[Prediction]]:
    """Return the best ``top`` classes of each image, best first.

    Raises:
        DataError: An image cannot be read, or the model is no classifier.
        EngineError: The model does not say how images are prepared.
    """
    samples = session.open_images(images)
    outputs = run_samples(session, samples, batch=batch, progress=progress)
    return predictions(session, outputs[session.graph.outputs[0]], top=top)


def predictions(session: Session, output: np.ndarray, *, top: int) -> list[list[Prediction]]:
    """Return the best ``top`` classes of each row of the first output.

    Raises:
        DataError: The output is no row of class scores.
    """
    scores = class_scores(output, name=session.graph.outputs[0])
    labels = session.labels

    def name_of(index: int) -> str | None:
        return labels[index] if labels is not None and index < len(labels) else None

    return [
        [Prediction(index=int(i), name=name_of(int(i)), score=float(row[i])) for i in best]
        for row, best in zip(scores, top_classes(scores, top), strict=True)
    ]


def is_classifier(session: Session) -> bool:
    """Return whether the first output is one score for each of several classes."""
    shape = session.graph.shape(session.graph.outputs[0])
    return len(shape) > 1 and len([size for size in shape[1:] if size != 1]) == 1


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts[0].ndim else np.stack(parts)
