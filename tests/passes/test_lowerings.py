"""Affine nodes and activations of their own as depthwise convolutions."""

import numpy as np
import pytest
from rewriting import reasons, rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.lower_activation import LowerActivation
from tf2.passes.lower_affine import LowerAffine

SHAPES = [(1, 4, 6), (1, 4, 6, 5), (1, 4, 6, 5, 3)]


def array_value(net: FloatNet) -> str:
    """A value of the array that no pattern can change: a pooled convolution or layer."""
    if len(net.shape("x")) == 2:
        return net.add("Concat", net.gemm("x", 3), net.gemm("x", 3), axis=1)
    taps = (1,) * (len(net.shape("x")) - 2)
    return net.add("MaxPool", net.conv("x", 6, taps), kernel_shape=taps)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_norm_becomes_a_depthwise_convolution_of_its_name(shape, rng):
    net = FloatNet(rng, x=shape)
    norm = net.batch_norm(array_value(net))
    done = rewritten(net.graph(), rng, LowerAffine())
    conv = done.graph.node(norm)
    assert (conv.op, conv.attrs["group"]) == ("Conv", 6)
    assert not done.absorbed


@pytest.mark.parametrize("op", ["Mul", "Add", "Sub", "Div"])
def test_a_number_for_all_channels_becomes_one_for_each(op: str, rng):
    net = FloatNet(rng, x=(1, 4, 6))
    net.add(op, array_value(net), np.array(1.5, np.float32))
    assert ops(rewritten(net.graph(), rng, LowerAffine()).graph) == ["Conv", "MaxPool", "Conv"]


def test_without_spatial_axes_it_gets_one_of_size_1(rng):
    net = FloatNet(rng, x=(1, 4))
    net.batch_norm(array_value(net))
    done = rewritten(net.graph(), rng, LowerAffine())
    assert ops(done.graph)[-3:] == ["Unsqueeze", "Conv", "Squeeze"]


def test_a_value_of_the_host_stays_there(rng):
    net = FloatNet(rng, x=(1, 4, 6))
    scaled = net.add("Mul", net.add("Sigmoid", net.conv("x", 4, (1,))), net.vector(4).reshape(4, 1))
    norm = net.batch_norm("x")
    net.add("Concat", scaled, norm, axis=1)
    assert untouched(net.graph(), rng, LowerAffine()) == {
        scaled: "what it reads is float on the host",
        norm: "what it reads is float on the host",
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("op", "operands"),
    [("Relu", []), ("Clip", [np.float32(0), np.float32(0.5)]), ("LeakyRelu", [])],
)
def test_an_activation_gets_a_convolution_to_be_fused_into(op, operands, shape, rng):
    net = FloatNet(rng, x=shape)
    name = net.add(op, array_value(net), *operands)
    done = rewritten(net.graph(), rng, LowerActivation())
    assert ops(done.graph) == ["Conv", "MaxPool", "Conv", op]
    assert (done.graph.constants[f"{name}.linear.weight"] == 1).all()


def test_slopes_of_each_channel_move_along_also_without_spatial_axes(rng):
    net = FloatNet(rng, x=(1, 4))
    net.add("PRelu", array_value(net), np.abs(net.vector(6)))
    done = rewritten(net.graph(), rng, LowerActivation())
    assert ops(done.graph)[-4:] == ["Unsqueeze", "Conv", "PRelu", "Squeeze"]


@pytest.mark.parametrize("producer", ["conv", "gemm", "add"])
def test_one_that_its_producer_takes_in_is_left(producer: str, rng):
    net = FloatNet(rng, x=(1, 4) if producer == "gemm" else (1, 4, 6))
    value = net.gemm("x", 3) if producer == "gemm" else net.conv("x", 3, (1,))
    if producer == "add":
        value = net.add("Add", value, net.conv("x", 3, (1,)))
    net.add("Relu", value)
    assert untouched(net.graph(), rng, LowerActivation()) == {}


def test_an_addition_takes_no_slope_in(rng):
    net = FloatNet(rng, x=(1, 4, 6))
    net.add("LeakyRelu", net.add("Add", net.conv("x", 4, (1,)), "x"))
    done = rewritten(net.graph(), rng, LowerActivation())
    assert ops(done.graph) == ["Conv", "Add", "Conv", "LeakyRelu"]


def test_a_convolution_with_another_user_is_not_fused_into(rng):
    net = FloatNet(rng, x=(1, 4, 6))
    conv = net.conv("x", 4, (1,))
    relu = net.add("Relu", conv)
    done = rewritten(net.graph(conv, relu), rng, LowerActivation())
    assert ops(done.graph) == ["Conv", "Conv", "Relu"]


def test_an_activation_on_the_host_stays_there(rng):
    net = FloatNet(rng, x=(1, 4, 6))
    first = net.add("Relu", "x")
    second = net.add("Relu", net.add("Mul", net.conv("x", 4, (1,)), first))
    assert untouched(net.graph(first, second), rng, LowerActivation()) == {}


@pytest.mark.parametrize("pattern", [LowerAffine(), LowerActivation()])
def test_the_product_of_two_values_is_of_the_host(pattern, rng):
    net = FloatNet(rng, x=(1, 4, 6))
    product = net.add("Mul", net.conv("x", 4, (1,)), net.conv("x", 4, (1,)))
    net.add("Relu", net.add("Add", product, np.float32(1)))
    done = rewritten(net.graph(), rng, pattern)
    assert set(reasons(done).values()) <= {"what it reads is float on the host"}
    assert ops(done.graph) == ["Conv", "Conv", "Mul", "Add", "Relu"]
