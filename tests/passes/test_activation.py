from math import inf

import numpy as np
import pytest

from float_graphs import FloatNet
from tf2.passes.activation import Activation, activation_of


def activation(rng, op: str, *operands, shape=(1, 3, 4, 3), **attrs) -> Activation | None:
    net = FloatNet(rng, x=shape)
    name = net.add(op, "x", *operands, **attrs)
    graph = net.graph()
    return activation_of(graph, graph.node(name))


def bounds(found: Activation | None) -> tuple[float, float] | None:
    return None if found is None else (found.low, found.high)


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def test_relu_is_a_lower_bound(rng):
    assert activation(rng, "Relu") == Activation(low=0.0)


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ([number(0), number(6)], (0, 6)),  # ReLU6
        ([number(-1), number(1)], (-1, 1)),
        ([number(0)], (0, inf)),
        (["", number(6)], (-inf, 6)),
        ([], (-inf, inf)),
        ([np.full(1, 0, np.float32), np.full(1, 6, np.float32)], (0, 6)),
    ],
)
def test_clip_is_two_bounds(operands, expected, rng):
    assert bounds(activation(rng, "Clip", *operands)) == expected


@pytest.mark.parametrize("operands", [[number(1), number(6)], [number(-2), number(-1)]])
def test_clip_without_zero_between_its_bounds_is_none(operands, rng):
    """Zero is not one of its values, but is what padding and dead channels hold."""
    assert activation(rng, "Clip", *operands) is None


def test_clip_of_one_value_is_none(rng):
    assert activation(rng, "Clip", number(0), number(0)) is None


def test_clip_with_bounds_computed_at_run_time_is_none(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    name = net.add("Clip", "x", net.add("Tanh", net.constant(number(0))))
    graph = net.graph()
    assert activation_of(graph, graph.node(name)) is None


@pytest.mark.parametrize(("attrs", "slope"), [({}, 0.01), ({"alpha": 0.25}, 0.25)])
def test_leaky_relu_is_one_slope(attrs, slope, rng):
    found = activation(rng, "LeakyRelu", **attrs)
    assert found is not None
    assert found.slope.tolist() == [slope]
    assert bounds(found) == (-inf, inf)


@pytest.mark.parametrize(
    ("shape", "slope_shape"),
    [
        ((1, 3, 4, 3), (3, 1, 1)),
        ((1, 3, 4, 3), (1, 3, 1, 1)),
        ((1, 3, 4), (3, 1)),
        ((1, 3), (3,)),
        ((1, 3, 4, 3), (1,)),
        ((1, 3, 4, 3), (1, 1, 1)),
        ((1, 3, 4, 3), ()),
    ],
)
def test_prelu_has_a_slope_for_each_channel_or_one_for_all(shape, slope_shape, rng):
    slope = rng.uniform(-1, 1, slope_shape).astype(np.float32)
    found = activation(rng, "PRelu", slope, shape=shape)
    assert found is not None
    assert found.slope.tolist() == slope.reshape(-1).tolist()


@pytest.mark.parametrize("slope_shape", [(3,), (4, 1), (3, 4, 3), (1, 4, 1)])
def test_prelu_along_other_axes_is_none(slope_shape, rng):
    """A slope (3,) of (1, 3, 4, 3) runs along the last axis, though it has as many as channels."""
    slope = rng.uniform(0, 1, slope_shape).astype(np.float32)
    assert activation(rng, "PRelu", slope) is None


def test_a_slope_computed_at_run_time_is_none(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    name = net.add("PRelu", "x", net.add("Sigmoid", net.constant(net.vector(3).reshape(3, 1))))
    graph = net.graph()
    assert activation_of(graph, graph.node(name)) is None


@pytest.mark.parametrize("op", ["Sigmoid", "Elu", "HardSwish", "Tanh"])
def test_other_functions_are_none(op: str, rng):
    assert activation(rng, op) is None
