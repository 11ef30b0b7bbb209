"""What is on these images: the best classes with their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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
    size = batch if session.graph.batch_is_free else 1
    results: list[list[Prediction]] = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        output = session.run_images(part)[0]
        scores = class_scores(output, name=session.graph.outputs[0])
        for row, best in zip(scores, top_classes(scores, top), strict=True):
            results.append(list(_predictions(session, row, best)))
        if progress:
            progress("run", min(start + size, len(images)) / len(images))
    return results


def _predictions(session: Session, scores, best) -> Iterator[Prediction]:
    for index in map(int, best):
        names = session.labels
        name = names[index] if names is not None and index < len(names) else None
        yield Prediction(index=index, name=name, score=float(scores[index]))
