"""Ranks of the true class: ties go to the lowest index and are counted."""

from __future__ import annotations

import numpy as np
import pytest

from tf2.errors import DataError
from tf2.evaluation import class_scores, ranks, top_classes


def test_rank_is_the_number_of_better_classes():
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    found = ranks(scores, np.array([2, 0]))
    assert found.rank.tolist() == [1, 0]
    assert found.best.tolist() == [1, 0]
    assert found.tied.tolist() == [False, False]


def test_a_tie_goes_to_the_lowest_index_and_is_counted():
    scores = np.array([[3.0, 3.0, 1.0], [3.0, 3.0, 1.0], [3.0, 1.0, 1.0]])
    found = ranks(scores, np.array([0, 1, 2]))
    assert found.rank.tolist() == [0, 1, 2]
    assert found.best.tolist() == [0, 0, 0]
    assert found.tied.tolist() == [True, True, False]


def test_rank_agrees_with_sorting(rng):
    scores = rng.integers(0, 5, (200, 7)).astype(np.float64)  # many ties
    classes = rng.integers(0, 7, 200)
    order = top_classes(scores, 7)
    places = [row.tolist().index(true) for row, true in zip(order, classes, strict=True)]
    assert ranks(scores, classes).rank.tolist() == places


def test_axes_of_size_one_are_dropped():
    assert class_scores(np.ones((2, 5, 1, 1), np.float32), name="y").shape == (2, 5)


@pytest.mark.parametrize("shape", [(5,), (2, 5, 7), (2, 1, 1)])
def test_refuses_what_is_no_row_of_scores(shape):
    with pytest.raises(DataError, match=r"output 'y' has shape .*one score for each class"):
        class_scores(np.ones(shape), name="y")


def test_refuses_nan():
    with pytest.raises(DataError, match="has NaN among its scores"):
        class_scores(np.array([[0.0, np.nan]]), name="y")


def test_refuses_a_class_beyond_the_models():
    with pytest.raises(DataError, match=r"class index 3 in the labels.*3 classes \(0..2\)"):
        ranks(np.zeros((1, 3)), np.array([3]))
