import numpy as np
import pytest

from float_graphs import FloatNet, Rng, assert_same_function, feeds
from tf2.execution import Runner
from tf2.ir import Graph
from tf2.quantization import measure, partition
from tf2.quantization.equalize import MAX_ENLARGEMENT, equalize
from tf2.quantization.feature_scales import groups_of_equal_scale

LOUD_AND_QUIET = np.array([1.0, 0.3, 0.1, 0.001], np.float32)


def equalized(graph: Graph, x: dict[str, np.ndarray]) -> Graph:
    plan = partition(graph)
    groups = groups_of_equal_scale(graph, plan)
    ranges = measure(graph, [x], [name for group in groups for name in group])
    return equalize(graph, plan, groups, ranges)


def quiet_conv(net: FloatNet, x: str, **attrs) -> str:
    """A convolution over one axis whose channels differ in size."""
    weight = net.weights(4, net.shape(x)[1] // attrs.get("group", 1), 3)
    scale = LOUD_AND_QUIET.reshape(4, 1, 1)
    return net.add("Conv", x, weight * scale, 0.1 * net.vector(4) * LOUD_AND_QUIET, **attrs)


def plain(net: FloatNet) -> None:
    net.conv(net.add("Relu", quiet_conv(net, "x")), 3, (3,))


def leaky(net: FloatNet) -> None:
    value = net.add("PRelu", quiet_conv(net, "x"), np.abs(net.vector(4)).reshape(4, 1))
    net.conv(value, 3, (3,))


def grouped(net: FloatNet) -> None:
    value = net.add("Relu", quiet_conv(net, "x", group=2))
    net.conv(net.conv(value, 8, (3,), group=4), 3, (1,))


def joined(net: FloatNet) -> None:
    first, second = quiet_conv(net, "x"), net.add("Relu", quiet_conv(net, "x"))
    pooled = net.add("MaxPool", net.add("Concat", second, first, axis=1), kernel_shape=(2,))
    net.conv(pooled, 3, (3,))


def flat(net: FloatNet) -> None:
    net.gemm(net.add("Flatten", net.add("Relu", quiet_conv(net, "x"))), 3)


def two_readers(net: FloatNet) -> None:
    value = quiet_conv(net, "x")
    net.add("Concat", net.conv(value, 2, (1,)), net.conv(value, 2, (1,)), axis=1)


@pytest.mark.parametrize("build", [plain, leaky, grouped, joined, flat, two_readers])
def test_the_function_stays_and_quiet_channels_grow(build, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 10))
    build(net)
    before = net.graph()
    x = feeds(before, rng, 16)
    after = equalized(before, x)
    assert_same_function(before, after, x)

    (writer, *_) = [step for step in partition(before).steps if step.kind == "conv"]
    small, grown = (
        np.abs(Runner(graph, outputs=[writer.output], threads=1)(x)[writer.output]).max(axis=(0, 2))
        for graph in (before, after)
    )
    exponents = np.log2(grown / small)
    np.testing.assert_allclose(exponents, np.round(exponents), atol=1e-5)
    assert 0 <= exponents.min() < exponents.max() <= MAX_ENLARGEMENT
    assert grown.max() == pytest.approx(small.max())


def clipped(net: FloatNet) -> None:
    value = net.add("Clip", quiet_conv(net, "x"), np.float32(0), np.float32(6))
    net.conv(value, 3, (3,))


def added(net: FloatNet) -> None:
    net.conv(net.add("Add", quiet_conv(net, "x"), quiet_conv(net, "x")), 3, (3,))


def averaged(net: FloatNet) -> None:
    net.conv(net.add("AveragePool", quiet_conv(net, "x"), kernel_shape=(2,)), 3, (3,))


def on_the_host(net: FloatNet) -> None:
    value = quiet_conv(net, "x")
    net.add("Concat", net.add("Sigmoid", value), net.conv(value, 3, (1,)), axis=1)


def shuffled(net: FloatNet) -> None:
    net.conv(net.add("Gather", quiet_conv(net, "x"), np.array([3, 1, 0, 2]), axis=1), 3, (3,))


def of_shared_weights(net: FloatNet) -> None:
    value = quiet_conv(net, "x")
    weight = net.constant(net.weights(4, 4, 3))
    net.add("Conv", net.add("Conv", value, weight), weight)


@pytest.mark.parametrize("build", [clipped, averaged, on_the_host, shuffled])
def test_a_value_whose_scale_cannot_be_moved_stays(build, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 10))
    build(net)
    before = net.graph()
    after = equalized(before, feeds(before, rng))
    weight = before.nodes[0].inputs[1]
    np.testing.assert_array_equal(after.constants[weight], before.constants[weight])


@pytest.mark.parametrize("build", [added, of_shared_weights])
def test_operands_of_additions_and_shared_weights_stay(build, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 10))
    build(net)
    before = net.graph()
    x = feeds(before, rng)
    after = equalized(before, x)
    assert_same_function(before, after, x)
    for name in (before.nodes[0].inputs[1], before.nodes[1].inputs[1]):
        np.testing.assert_array_equal(after.constants[name], before.constants[name])


def test_a_graph_output_keeps_its_values(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 10))
    value = quiet_conv(net, "x")
    before = net.graph(value, net.conv(value, 3, (1,)))
    assert_same_function(before, equalized(before, feeds(before, rng)), feeds(before, rng))


def test_dead_channels_do_not_grow(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 10))
    weight = net.weights(4, 4, 3)
    weight[1] = 0
    net.conv(net.add("Relu", net.add("Conv", "x", weight, np.array([0, -1, 0, 0], "f"))), 3, (3,))
    before = net.graph()
    bias = before.nodes[0].inputs[2]
    assert equalized(before, feeds(before, rng)).constants[bias][1] == -1
