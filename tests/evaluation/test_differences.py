"""Engines that must agree to the bit, and the element that is named where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from color_classifier import write_images, write_labels, write_model
from tf2 import flow
from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import EngineError
from tf2.evaluation import exact_differences
from tf2.evaluation.differences import integer_values
from tf2.model_file import CompressedModel


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> CompressedModel:
    folder = tmp_path_factory.mktemp("colors")
    write_labels(write_images(folder, count=6))
    return flow.compress(write_model(folder), folder / "photos", preprocessing="unit-rgb")


def samples_of(session: Session, count: int) -> Samples:
    rng = np.random.default_rng(0)
    (shape,) = session.sample_shapes.values()
    rows = rng.random((count, *shape), dtype=np.float32)
    return Samples([f"s{i}" for i in range(count)], lambda i: rows[i])


class Wrong:
    """A level that adds 1 to one element of one value, in one sample."""

    def __init__(self, level: Session, value: str, sample: int, index: tuple[int, ...]) -> None:
        self._level, self._value, self._sample, self._index = level, value, sample, index
        self.graph = level.graph
        self._count = 0

    def visible(self, names):
        return self._level.visible(names)

    def values(self, feeds, names):
        values = self._level.values(feeds, names)
        if self._count == self._sample:
            changed = values[self._value].copy()
            changed[(0, *self._index)] ^= 1
            values = {**values, self._value: changed}
        self._count += 1
        return values


def test_the_functional_engine_agrees_with_int_in_every_value_it_shows(model):
    reference = Session(model, "int")
    other = Session(model, "functional", overlay="test-small")
    result = exact_differences(reference, other, samples_of(reference, 2))
    assert result.differences == ()
    assert result.values
    assert result.compared == 2 * sum(
        int(np.prod(reference.graph.shape(name))) for name in result.values
    )


def test_the_first_wrong_element_is_named(model):
    session = Session(model, "int")
    value = integer_values(session.graph)[1]
    index = tuple(size - 1 for size in session.graph.shape(value)[1:])
    wrong = Wrong(Session(model, "int"), value, 1, index)
    result = exact_differences(session, wrong, samples_of(session, 3))
    (first,) = result.differences
    assert (first.value, first.sample, first.index, first.differing) == (value, 1, index, 1)
    assert first.expected ^ first.found == 1


def test_levels_of_other_networks_are_refused(model):
    session = Session(model, "int")
    other = Session(model, "int")
    other_graph = other.graph.replaced(outputs=(integer_values(other.graph)[0],))
    with pytest.raises(EngineError, match="different networks"):
        exact_differences(session, Session(other_graph, "int"), samples_of(session, 1))
