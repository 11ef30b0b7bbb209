"""Accuracy of a session whose answers are known, and the paired difference of two."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import DataError
from tf2.evaluation import accuracy, paired_accuracy
from tf2.ir import FLOAT32, Graph, Node, TensorType

CLASSES = 6


def scaled(factors: list[float]) -> Session:
    """A session whose scores are the input times a factor for each class."""
    value = TensorType(FLOAT32, (1, CLASSES))
    graph = Graph(
        name="scale",
        inputs=("x",),
        outputs=("y",),
        nodes=(Node(name="mul", op="Mul", inputs=("x", "f"), outputs=("y",)),),
        types={"x": value, "y": value, "f": TensorType(FLOAT32, (CLASSES,))},
        constants={"f": np.array(factors, np.float32)},
    )
    return Session(graph, engine="float")


def samples_of(rows: np.ndarray) -> Samples:
    return Samples([f"s{i}" for i in range(len(rows))], lambda i: rows[i].astype(np.float32))


def test_top1_top5_and_n():
    rows = np.eye(CLASSES) * 2 + np.arange(CLASSES) / 10  # row i is best at i; else by index
    found = accuracy(scaled([1] * CLASSES), samples_of(rows), np.array([0, 1, 2, 0, 4, 0]), batch=4)
    # Row 3 and row 5 are labelled 0, the lowest score of all: rank 5, beyond the best five.
    assert (found.top1, found.top5, found.samples, found.ties) == (4 / 6, 4 / 6, 6, 0)


def test_ties_are_counted():
    found = accuracy(scaled([1] * CLASSES), samples_of(np.zeros((3, CLASSES))), np.zeros(3, int))
    assert (found.top1, found.ties) == (1.0, 3)


def test_images_per_second_is_the_engines_own_time():
    ticks = itertools.count(0.0, 0.5)  # each batch takes half a second
    found = accuracy(
        scaled([1] * CLASSES),
        samples_of(np.eye(6)),
        np.arange(6),
        batch=2,
        clock=lambda: next(ticks),
    )
    assert found.images_per_second == pytest.approx(6 / 1.5)


def test_paired_difference_and_its_error():
    rows = np.eye(CLASSES) + 0.5  # 1.5 at the true class, 0.5 elsewhere
    damaged = [0.1, 0.1, 1, 1, 1, 1]  # classes 0 and 1 are now told as 2
    found = paired_accuracy(
        scaled(damaged), scaled([1] * CLASSES), samples_of(rows), np.arange(CLASSES)
    )
    assert found.first.top1 == pytest.approx(4 / 6)
    assert found.second.top1 == 1.0
    assert found.points == pytest.approx(-100 * 2 / 6)
    assert found.agreement == pytest.approx(4 / 6)
    difference = np.array([-1, -1, 0, 0, 0, 0])
    expected = 100 * difference.std(ddof=1) / math.sqrt(6)
    assert found.standard_error == pytest.approx(expected)


def test_progress_reaches_the_end_through_both_halves():
    seen = []
    session = scaled([1] * CLASSES)
    rows = samples_of(np.eye(CLASSES))
    paired_accuracy(
        session, session, rows, np.arange(6), batch=3, progress=lambda _, share: seen.append(share)
    )
    assert seen == [0.25, 0.5, 0.75, 1.0]


def test_needs_samples():
    with pytest.raises(DataError, match="no samples to evaluate"):
        accuracy(scaled([1] * CLASSES), samples_of(np.zeros((0, CLASSES))), np.zeros(0, int))


def test_needs_one_label_a_sample():
    with pytest.raises(DataError, match="5 labels for 6 samples"):
        accuracy(scaled([1] * CLASSES), samples_of(np.eye(6)), np.zeros(5, int))
