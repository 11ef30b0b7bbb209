"""The proof of an import: it sees a difference, and names outputs, infinities and shapes right."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_models import conv, model

from tf2.errors import EngineError, ImportModelError
from tf2.importers.check import largest_difference, onnx_runner, random_feeds
from tf2.importers.onnx import read_onnx


@pytest.fixture
def graph():
    return read_onnx(conv(("N", 3, 8, 8)))


def test_no_difference_from_itself(graph):
    found = largest_difference(graph, onnx_runner(conv(("N", 3, 8, 8))), seed=0, batch=3)
    assert found.relative < 1e-6
    assert list(found.outputs) == ["y"]


def test_a_small_error_is_seen(graph):
    source = onnx_runner(conv(("N", 3, 8, 8)))

    def off(feeds):
        y = source(feeds)["y"].copy()
        y[0, 0, 0, 0] += 0.5
        return {"y": y}

    assert largest_difference(graph, off, seed=0).absolute == pytest.approx(0.5, abs=1e-5)


def test_a_nan_on_one_side_is_infinitely_far(graph):
    source = onnx_runner(conv(("N", 3, 8, 8)))
    found = largest_difference(graph, lambda f: {"y": source(f)["y"] * np.nan}, seed=0)
    assert found.absolute == np.inf


def test_outputs_go_by_order_where_the_names_differ(graph):
    source = onnx_runner(conv(("N", 3, 8, 8)))
    found = largest_difference(graph, lambda f: {"other": source(f)["y"]}, seed=0)
    assert found.relative < 1e-6


def test_other_shapes_and_other_counts_are_errors(graph):
    with pytest.raises(ImportModelError, match="has shape"):
        largest_difference(graph, lambda _: {"y": np.zeros((1, 4, 5, 6), np.float32)}, seed=0)
    with pytest.raises(ImportModelError, match="the source has outputs"):
        largest_difference(graph, lambda _: {}, seed=0)


def test_a_source_that_onnx_runtime_refuses():
    broken = model([helper.make_node("Nope", ["x"], ["y"])], inputs={"x": (1,)}, outputs=["y"])
    with pytest.raises(EngineError, match="refuses the source model"):
        onnx_runner(broken)


def test_random_feeds_are_seeded_and_of_the_batch(graph):
    first, again = (random_feeds(graph, np.random.default_rng(3), batch=2) for _ in range(2))
    np.testing.assert_array_equal(first["x"], again["x"])
    assert first["x"].shape == (2, 3, 8, 8)
