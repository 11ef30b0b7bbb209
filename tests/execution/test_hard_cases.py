"""Layers made to be hard for float32 and for 16-bit sums, one property each."""

from itertools import product

import numpy as np
import pytest

import random_layers
from agreement import assert_same_integers
from random_layers import Net
from tf2.execution import Runner, interpret, to_onnx
from tf2.ir import Feature, Graph, Plain, TensorType
from tf2.numerics.fixed_point import MAX_SHIFT, nearest_multiplier

Rng = np.random.Generator


def conv_graph(
    x: TensorType, weights: np.ndarray, out: Feature, *, bias, multiplier, shift, second=(), **attrs
) -> Graph:
    """A convolution without padding and strides, its result of the input's size less the taps."""
    net = Net(x)
    channels = len(weights)
    size = [n - k + 1 for n, k in zip(x.shape[2:], weights.shape[2:], strict=True)]
    arrays = (weights, *(np.broadcast_to(a, channels) for a in (bias, multiplier, shift, *second)))
    constants = [net.constant(a.astype(np.int32 if i else np.int8)) for i, a in enumerate(arrays)]
    shape = (1, channels, *size)
    net.add("Conv", ["x", *constants], TensorType(out, shape), weight_kind="int8", **attrs)
    return net.graph()


@pytest.mark.parametrize("axes", [0, 2])
@pytest.mark.parametrize("multiplier", [1, 3, 113, 128, 251, 255])
@pytest.mark.parametrize("zero_point", [0, -128])
def test_accumulators_beside_every_tie_at_the_largest_shift(zero_point, multiplier, axes):
    shift = MAX_SHIFT[zero_point]
    ties = (2 * np.arange(-132, 260) + 1) << (shift - 1)
    bias = (ties[:, None] // multiplier + np.arange(-1, 3)).reshape(-1)  # weights 0: acc is bias
    weights = np.zeros((len(bias), 1, *[1] * axes), np.int8)
    x = TensorType(Feature(3, 0), (1, 1, *[1] * axes))
    graph = conv_graph(
        x, weights, Feature(2, zero_point), bias=bias, multiplier=multiplier, shift=shift
    )
    assert_same_integers(graph, {"x": np.zeros((1, 1, *[1] * axes), np.int8)})


@pytest.mark.parametrize("weight", [64, -64, 65, 127, -128])
@pytest.mark.parametrize("channels", [2, 16, 63, 256])
@pytest.mark.parametrize("shape", [(), (5, 5)])
def test_the_largest_products_do_not_saturate_in_16_bits(shape, channels: int, weight: int):
    weights = np.full((17, channels, *[1] * len(shape)), weight, np.int8)
    weights[::3, ::2] //= 2
    x = TensorType(Feature(0, -128), (1, channels, *shape))
    one = conv_graph(x, weights, Feature(-13, 0), bias=0, multiplier=1, shift=13)
    two = conv_graph(
        x, weights, Feature(-13, 0), bias=0, multiplier=1, shift=13, second=([1], [13])
    )
    for graph in (one, two):
        assert_same_integers(graph, {"x": np.full((2, channels, *shape), 127, np.int8)})


@pytest.mark.parametrize(("largest", "stored"), [(64, np.int8), (65, np.uint8), (-128, np.uint8)])
@pytest.mark.parametrize("second", [(), ([3], [2])])
@pytest.mark.parametrize("size", [(), (4,)])
def test_only_weights_beyond_64_are_stored_as_uint8(size, second, largest: int, stored):
    weights = np.full((2, 3, *[1] * len(size)), largest, np.int8)
    x = TensorType(Feature(0, 0), (1, 3, *size))
    graph = conv_graph(x, weights, Feature(0, 0), bias=0, multiplier=1, shift=9, second=second)
    model = to_onnx(graph)
    tensors = {t.name: t for t in model.graph.initializer}
    assert tensors["n0.weight~"].data_type == {np.int8: 3, np.uint8: 2}[stored]


@pytest.mark.parametrize(("q_in", "q_out"), [(60, -60), (-60, 60), (60, 60), (-60, -60)])
@pytest.mark.parametrize("size", [(), (4,)])
def test_extreme_feature_scales_change_nothing(size, q_in: int, q_out: int, rng: Rng):
    weights = random_layers.integer_weights(rng, (5, 3, *[1] * len(size)), "pot4")
    x = TensorType(Feature(q_in, 0), (1, 3, *size))
    for multiplier, shift in ((255, 0), (255, 17), (1, 17), (1, 0)):
        graph = conv_graph(
            x, weights, Feature(q_out, 0), bias=9, multiplier=multiplier, shift=shift
        )
        assert_same_integers(graph, random_layers.feeds(rng, graph, 2))


@pytest.mark.parametrize(("low", "high"), [(-128, 20), (0, 127), (-5, 5), (7, 7)])
@pytest.mark.parametrize("second", [(), ([0], [0]), ([51], [8])])
def test_relu6_and_leaky_relu_are_bounds_and_second_multipliers(second, low, high, rng: Rng):
    weights = random_layers.integer_weights(rng, (6, 4, 3), "pot4")
    graph = conv_graph(
        TensorType(Feature(4, 0), (1, 4, 12)), weights, Feature(4, 0),
        bias=30, multiplier=5, shift=9, second=second, low=low, high=high,
    )  # fmt: skip
    feeds = random_layers.feeds(rng, graph, 3)
    golden = assert_same_integers(graph, feeds)["v0"]
    assert golden.min() >= low
    assert golden.max() <= high


@pytest.mark.parametrize("zero_points", list(product([0, -128], repeat=3)))
@pytest.mark.parametrize("bits", [(0, 0, 0), (3, 5, 4), (14, 0, 0), (0, 14, 7), (-7, 7, -7)])
def test_additions_agree_for_every_pair_of_bytes(bits, zero_points):
    (qa, qb, qo), (za, zb, zo) = bits, zero_points
    net = Net(TensorType(Feature(qa, za), (1, 65536)))
    b = net.constant(np.tile(np.arange(-128, 128), 256).astype(np.int8)[None])
    net.types[b] = TensorType(Feature(qb, zb), (1, 65536))
    net.add("Add", ["x", b], TensorType(Feature(qo, zo), (1, 65536)))
    every = np.repeat(np.arange(-128, 128), 256).astype(np.int8)[None]
    assert_same_integers(net.graph(), {"x": every})


@pytest.mark.parametrize("shapes", [((1, 3, 4, 5), (1, 3, 1, 1)), ((1, 3, 4), (1, 1, 4))])
def test_additions_broadcast(shapes, rng: Rng):
    net = Net(TensorType(Feature(3, 0), shapes[0]))
    b = net.constant(random_layers.feature_bytes(rng, shapes[1]))
    net.types[b] = TensorType(Feature(4, -128), shapes[1])
    net.add("Add", ["x", b], TensorType(Feature(3, 0), shapes[0]), low=-100)
    graph = net.graph()
    assert_same_integers(graph, random_layers.feeds(rng, graph, 2))


@pytest.mark.parametrize("size", [(7, 7), (13, 13), (14, 14), (16, 16), (255,)])
def test_global_averages_agree(size: tuple[int, ...], rng: Rng):
    for zero_point in (0, -128):
        net = Net(TensorType(Feature(4, zero_point), (1, 9, *size)))
        out = TensorType(Feature(4, zero_point), (1, 9, *[1] * len(size)))
        scale = np.array(1 / np.prod(size))
        multiplier, shift = map(int, nearest_multiplier(scale, zero_point=zero_point))
        net.add("AveragePool", ["x"], out, kernel_shape=size, multiplier=multiplier, shift=shift)
        graph = net.graph()
        assert_same_integers(graph, random_layers.feeds(rng, graph, 3))
        assert_same_integers(graph, {"x": np.full((1, 9, *size), 127, np.int8)})


@pytest.mark.parametrize("zero_point", [0, -128])
@pytest.mark.parametrize("frac_bits", [-60, -3, 0, 5, 60])
def test_quantizing_and_dequantizing_agree(frac_bits: int, zero_point: int, rng: Rng):
    net = Net(TensorType(Plain("float32"), (1, 2000)))
    feature = TensorType(Feature(frac_bits, zero_point), (1, 2000))
    bytes_name = net.add("Quantize", ["x"], feature)
    net.add("Dequantize", [bytes_name], TensorType(Plain("float32"), (1, 2000)))
    ties = np.arange(-400, 400) / 2
    special = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40, -0.0]
    steps = np.concatenate([ties, np.nextafter(ties, 999), np.nextafter(ties, -999)])
    values = np.concatenate([np.float32(steps[:1993]) * np.float32(2.0**-frac_bits), special])
    padded = np.zeros((1, 2000), np.float32)
    padded[0, : values.size] = values[:2000]
    assert_same_integers(net.graph(), {"x": padded})


def test_two_formats_one_after_the_other_round_twice(rng: Rng):
    net = Net(TensorType(Plain("float32"), (1, 999)))
    value = "x"
    for feature in (Feature(5, 0), Feature(1, -128)):
        value = net.add("Quantize", [value], TensorType(feature, (1, 999)))
        value = net.add("Dequantize", [value], TensorType(Plain("float32"), (1, 999)))
    assert_same_integers(net.graph(), {"x": rng.normal(size=(2, 999)).astype(np.float32) * 3})


def test_two_formats_one_after_the_other_are_not_merged_where_nothing_reads_the_bytes():
    # A graph optimizer of ONNX Runtime would quantize once, with the coarser of the two.
    net = Net(TensorType(Plain("float32"), (1, 999)))
    value = "x"
    for feature in (Feature(5, 0), Feature(3, 0)):
        value = net.add("Quantize", [value], TensorType(feature, (1, 999)))
        value = net.add("Dequantize", [value], TensorType(Plain("float32"), (1, 999)))
    graph, feeds = net.graph(), {"x": np.linspace(-40, 40, 999, dtype=np.float32)[None]}
    np.testing.assert_array_equal(Runner(graph)(feeds)[value], interpret(graph, feeds)[value])


@pytest.mark.parametrize("zero_point", [0, -128])
def test_a_negative_second_multiplier_turns_the_sign(zero_point):
    """Accumulators -64..-1 and 1..64: below zero acc * -3/4, from zero on acc / 2."""
    weights = np.concatenate([np.arange(-64, 0), np.arange(1, 65)]).astype(np.int8)
    layer = conv_graph(
        TensorType(Feature(0, 0), (1, 1)),
        weights[:, None],
        Feature(0, zero_point),
        bias=0,
        multiplier=1,
        shift=1,
        second=(-3, 2),
    )
    one = {"x": np.ones((1, 1), np.int8)}
    (name,) = layer.outputs
    expected = np.rint(np.where(weights < 0, weights * -0.75, weights * 0.5)) + zero_point
    np.testing.assert_array_equal(interpret(layer, one)[name][0], expected)
    assert_same_integers(layer, one)
