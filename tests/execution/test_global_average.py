"""Averages of whole maps as QLinearGlobalAveragePool: the bytes of the golden interpreter."""

import numpy as np
import pytest

import random_layers
from agreement import assert_same_integers
from random_layers import Net
from tf2.execution import to_onnx
from tf2.ir import Feature, Graph, TensorType
from tf2.numerics import fixed_point


def average(
    x: Feature,
    y: Feature,
    *,
    size: tuple[int, ...],
    channels: int = 3,
    multiplier: int | None = None,
    shift: int = 0,
) -> Graph:
    """Return the average of a map of that size, by default with the multiplier nearest to it."""
    net = Net(TensorType(x, (1, channels, *size)))
    if multiplier is None:
        scale = np.array(2.0 ** (y.frac_bits - x.frac_bits) / np.prod(size))
        nearest = fixed_point.nearest_multiplier(scale, zero_point=y.zero_point)
        multiplier, shift = int(nearest[0]), int(nearest[1])
    out = TensorType(y, (1, channels, *(1 for _ in size)))
    net.add("AveragePool", ["x"], out, kernel_shape=size, multiplier=multiplier, shift=shift)
    return net.graph()


def operators(graph: Graph) -> list[str]:
    return [node.op_type for node in to_onnx(graph).graph.node]


@pytest.mark.parametrize("x_zero", [0, -128])
@pytest.mark.parametrize("y_zero", [0, -128])
@pytest.mark.parametrize("size", [(1,), (37,), (7, 7), (13, 1), (6, 5), (3, 4, 5)])
def test_whole_maps_agree_bit_for_bit(size: tuple[int, ...], x_zero: int, y_zero: int, rng):
    for channels in (1, 3, 8, 17, 64):
        finer = int(rng.integers(-2, 4))
        graph = average(
            Feature(3, x_zero), Feature(3 + finer, y_zero), size=size, channels=channels
        )
        assert operators(graph) == ["QLinearGlobalAveragePool"]
        assert_same_integers(graph, random_layers.feeds(rng, graph, batch=2))


def test_ties_round_to_even():
    graph = average(Feature(0, -128), Feature(0, -128), size=(2,), channels=1)
    x = np.array([[[-128, -127]], [[-127, -126]], [[-126, -125]]], np.int8)
    assert assert_same_integers(graph, {"x": x})["v0"].ravel().tolist() == [-128, -126, -126]


def test_a_multiplier_of_zero_is_no_average():
    graph = average(Feature(0, 0), Feature(0, 0), size=(2, 2), multiplier=0)
    assert operators(graph) == ["QLinearConv"]
    assert_same_integers(graph, {"x": np.full((1, 3, 2, 2), 99, np.int8)})


def test_maps_too_large_for_exact_sums_are_convolved():
    graph = average(Feature(0, 0), Feature(0, 0), size=(2**16 + 1,), channels=1)
    assert operators(graph) == ["QLinearConv"]
