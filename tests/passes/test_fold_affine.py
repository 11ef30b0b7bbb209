import numpy as np
import pytest
from rewriting import rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.fold_affine import FoldAffine, channel_affine
from tf2.passes.fold_batch_norm import FoldBatchNorm


def affine(net: FloatNet, op: str, x: str, data: np.ndarray, *, first: bool = False) -> str:
    return net.add(op, data, x) if first else net.add(op, x, data)


@pytest.mark.parametrize("shape", [(), (1,), (6, 1, 1), (1, 6, 1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize(
    ("op", "first"),
    [("Mul", False), ("Mul", True), ("Add", False), ("Add", True), ("Sub", False), ("Sub", True),
     ("Div", False)],
)  # fmt: skip
def test_folds_a_constant_of_any_per_channel_shape(op: str, first: bool, shape, rng):
    net = FloatNet(rng, x=(1, 4, 5, 5))
    data = rng.uniform(0.5, 2.0, shape).astype(np.float32)
    affine(net, op, net.conv("x", 6, (3, 3)), data, first=first)
    assert ops(rewritten(net.graph(), rng, FoldAffine()).graph) == ["Conv"]


@pytest.mark.parametrize("operator", ["conv", "conv_transpose", "gemm"])
def test_folds_into_every_linear_operator(operator: str, rng):
    net = FloatNet(rng, x=(1, 4) if operator == "gemm" else (1, 4, 6))
    layer = net.gemm("x", 6) if operator == "gemm" else getattr(net, operator)("x", 6, (3,))
    shape = (6,) if operator == "gemm" else (6, 1)
    scaled = net.add("Mul", layer, net.vector(6).reshape(shape))
    net.add("Sub", net.vector(6).reshape(shape), scaled)
    assert len(rewritten(net.graph(), rng, FoldAffine()).graph.nodes) == 1


def test_folds_a_chain_of_norm_and_caffe_scale_up_to_the_activation(rng):
    net = FloatNet(rng, x=(1, 4, 6, 6))
    norm = net.batch_norm(net.conv("x", 8, (3, 3), bias=False))
    scale = net.add("Mul", norm, net.vector(8).reshape(8, 1, 1))
    shift = net.add("Add", scale, net.vector(8).reshape(8, 1, 1))
    net.add("Relu", shift)
    done = rewritten(net.graph(), rng, FoldBatchNorm(), FoldAffine())
    assert ops(done.graph) == ["Conv", "Relu"]
    assert set(done.absorbed) == {norm, scale, shift}
    assert set(done.absorbed.values()) == {"conv0"}


@pytest.mark.parametrize(
    ("op", "data", "first"),
    [
        ("Mul", np.arange(6, dtype=np.float32), False),  # along the last axis, as long as channels
        ("Mul", np.ones((6, 5, 6), np.float32), False),  # differs between positions
        ("Add", np.ones((1, 6, 1, 6), np.float32), False),
        ("Div", np.ones((6, 1, 1), np.float32), True),  # constant / x
        ("Div", np.zeros((6, 1, 1), np.float32), False),  # division by zero
        ("Add", np.ones((1, 1, 1, 1, 1), np.float32), False),  # adds an axis
    ],
)
def test_leaves_what_is_no_gain_and_offset_per_channel(op: str, data, first: bool, rng):
    net = FloatNet(rng, x=(1, 4, 5, 6))
    x = net.conv("x", 6, (1, 1))
    node = affine(net, op, x, data, first=first)
    graph = net.graph(batch_is_free=False)
    assert channel_affine(graph, graph.node(node)) is None
    if not (op == "Div" and not data.all()):  # infinities do not compare
        untouched(net.graph(batch_is_free=False), rng, FoldAffine())


def test_leaves_the_product_of_two_values(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    x = net.conv("x", 6, (3,))
    net.add("Mul", x, x)
    assert untouched(net.graph(), rng, FoldAffine()) == {}


def test_declines_when_the_conv_result_has_another_user(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    conv = net.conv("x", 6, (3,))
    scaled = net.add("Mul", conv, net.vector(1))
    reasons = untouched(net.graph(conv, scaled), rng, FoldAffine())
    assert reasons == {scaled: f"the result of {conv!r} has another user"}


def test_a_bias_of_each_sample_is_not_taken_for_one_of_each_channel(rng):
    """Gemm adds (M, 1) to every row; with M = O samples its size is that of a bias."""
    net = FloatNet(rng, x=(4, 5))
    bias = net.vector(4).reshape(4, 1)
    gemm = net.add("Gemm", "x", net.weights(4, 5), bias, transB=1, alpha=1.0, beta=1.0)
    net.add("Mul", gemm, net.vector(4))
    assert "computed at run time" in str(
        untouched(net.graph(batch_is_free=False), rng, FoldAffine())
    )
