"""The engine "functional" gives what "int" gives, and says what it cannot run."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.random_graphs import random_graph
from model_file.model_file_examples import model_of
from tf2.arch import named_config
from tf2.engines import Session
from tf2.errors import ConfigError, EngineError
from tf2.ir import Graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(np.random.default_rng(7), rank=2, steps=6)


@pytest.mark.parametrize("overlay", ["test-small", None, named_config("test-mac")])
def test_functional_gives_the_bytes_of_int(graph, overlay, rng):
    feeds = {"x": rng.integers(-128, 128, (2, *graph.shape("x")[1:])).astype(np.int8)}
    found = Session(graph, "functional", overlay=overlay).run(None, feeds)
    for a, b in zip(found, Session(graph, "int").run(None, feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def test_values_inside_are_those_of_int_or_named_as_fused(graph, rng):
    feeds = {"x": rng.integers(-128, 128, graph.shape("x")).astype(np.int8)}
    session, reference = Session(graph, "functional", overlay="test-small"), Session(graph)
    seen = 0
    for name in (node.output for node in graph.nodes):
        try:
            found = session.values(feeds, [name])
        except EngineError as error:
            assert "goes on with" in str(error)  # noqa: PT017 (either is right)
            continue
        seen += 1
        np.testing.assert_array_equal(found[name], reference.values(feeds, [name])[name])
    assert seen


def test_a_float_model_is_refused_with_what_to_do(graph):
    plain = graph.replaced(nodes=(), outputs=("x",))
    with pytest.raises(EngineError, match="engine 'functional' runs"):
        Session(plain, "functional")


def test_a_compressed_model_with_nothing_for_the_array_is_told_so(graph):
    plain = model_of(graph.replaced(nodes=(), outputs=("x",)))
    with pytest.raises(EngineError, match=r"nothing for the array of engine 'functional'"):
        Session(plain, "functional")


def test_an_unknown_overlay_lists_those_there_are(graph):
    with pytest.raises(ConfigError, match="no configuration 'fpga'; there are original-3840"):
        Session(graph, "functional", overlay="fpga")
