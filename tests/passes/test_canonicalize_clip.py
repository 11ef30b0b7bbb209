import numpy as np
import pytest
from rewriting import rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.canonicalize_clip import CanonicalizeClip, bounds_of

INF = float("inf")


def bound(value: float) -> np.ndarray:
    return np.array(value, np.float32)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
@pytest.mark.parametrize(
    ("op", "value", "kind", "bounds"),
    [("Max", 0.0, "Relu", (0, INF)), ("Max", -0.5, "Clip", (-0.5, INF)),
     ("Min", 0.5, "Clip", (-INF, 0.5))],
)  # fmt: skip
def test_max_and_min_with_a_number_are_bounds(op, value, kind, bounds, shape, first, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    number = np.full(shape, value, np.float32)
    name = net.add(op, number, "x") if first else net.add(op, "x", number)
    done = rewritten(net.graph(), rng, CanonicalizeClip())
    (node,) = done.graph.nodes
    assert (node.name, node.op) == (name, kind)
    assert bounds_of(done.graph, node) == bounds


@pytest.mark.parametrize(
    ("chain", "bounds"),
    [
        ([("Relu",), ("Min", 6.0)], (0, 6)),
        ([("Max", 0.0), ("Min", 6.0)], (0, 6)),
        ([("Min", 6.0), ("Relu",)], (0, 6)),
        ([("Relu",), ("Relu",)], (0, INF)),
        ([("Clip", -1.0, 1.0), ("Clip", -0.5, 2.0)], (-0.5, 1)),
        ([("Clip", -1.0, -0.5), ("Relu",)], (0, 0)),
        ([("Relu",), ("Clip", -3.0, -1.0)], (-1, -1)),
        ([("Relu",), ("Min", 6.0), ("Max", 0.5), ("Min", 1.0)], (0.5, 1)),
    ],
)
def test_bounds_in_a_row_become_one(chain, bounds, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    value = "x"
    for op, *numbers in chain:
        value = net.add(op, value, *map(bound, numbers))
    done = rewritten(net.graph(), rng, CanonicalizeClip())
    (node,) = done.graph.nodes
    assert bounds_of(done.graph, node) == bounds
    assert set(done.absorbed.values()) == {value}


def test_the_first_stays_where_something_else_reads_it(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    relu = net.add("Relu", "x")
    clip = net.add("Clip", relu, "", bound(6))
    assert untouched(net.graph(clip, net.add("Tanh", relu)), rng, CanonicalizeClip()) == {}


@pytest.mark.parametrize(
    "operand", [np.zeros((4,), np.float32), np.zeros((1, 1, 1, 1), np.float32)]
)
def test_max_with_more_than_a_number_is_left(operand, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    net.add("Max", "x", operand)
    assert untouched(net.graph(), rng, CanonicalizeClip()) == {}


def test_max_of_two_values_or_of_three_is_left(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    two = net.add("Max", "x", net.add("Tanh", "x"))
    three = net.add("Max", "x", bound(0), bound(1))
    assert untouched(net.graph(two, three), rng, CanonicalizeClip()) == {}


def test_bounds_computed_at_run_time_are_left(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    low = net.add("Tanh", net.constant(bound(-1)))
    net.add("Relu", net.add("Clip", "x", low))
    assert untouched(net.graph(), rng, CanonicalizeClip()) == {}


def test_integers_are_left(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    count = net.add("Cast", "x", to=7)
    net.add("Cast", net.add("Max", count, np.array(2)), to=1)
    assert "Max" in ops(rewritten(net.graph(), rng, CanonicalizeClip()).graph)
