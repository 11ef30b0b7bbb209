import numpy as np
import pytest
from rewriting import reasons, rewritten

from float_graphs import FloatNet, ops
from tf2.ir.rewriter import rewrite
from tf2.passes.lower_conv_transpose import LowerConvTranspose


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(
    ("size", "kernel", "attrs"),
    [
        ((5,), (3,), {}),
        ((5,), (4,), {"strides": (2,), "pads": (1, 1)}),
        ((5,), (2,), {"strides": (3,)}),  # fewer taps than phases
        ((5,), (5,), {"strides": (3,), "pads": (2, 1), "output_padding": (2,)}),
        ((4, 3), (2, 2), {"strides": (2, 2)}),
        ((4, 3), (3, 4), {"strides": (2, 1), "pads": (1, 0, 0, 2)}),
        ((1, 1), (4, 4), {"strides": (4, 4)}),
        ((3, 2, 2), (2, 3, 1), {"strides": (2, 1, 2), "pads": (0, 1, 0, 0, 1, 0)}),
    ],
)
def test_computes_the_same_as_a_convolution_and_moves(size, kernel, attrs, group, rng):
    net = FloatNet(rng, x=(1, 4, *size))
    name = net.conv_transpose("x", 6, kernel, group=group, **attrs)
    done = rewritten(net.graph(), rng, LowerConvTranspose())
    assert set(ops(done.graph)) <= {"Conv", "Reshape", "Transpose", "Slice"}
    assert (done.graph.nodes[0].name, done.graph.nodes[0].op) == (name, "Conv")


@pytest.mark.parametrize("seed", range(20))
def test_random_sizes(seed: int):
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    kernel, strides = rng.integers(1, 6, axes).tolist(), rng.integers(1, 4, axes).tolist()
    pads = rng.integers(0, np.tile(kernel, 2)).tolist()
    extra = rng.integers(0, strides).tolist()
    net = FloatNet(rng, x=(1, 2, *rng.integers(3, 6, axes).tolist()))
    result = net.conv_transpose(
        "x", 3, kernel, strides=tuple(strides), pads=tuple(pads), output_padding=tuple(extra)
    )
    if min(net.shape(result)) < 1:
        return
    done = rewritten(net.graph(), rng, LowerConvTranspose())
    refused = done.graph.nodes[0].op == "ConvTranspose"
    # More positions cut off at the end than the last taps reach: no end padding does that.
    assert refused == any(
        -(-(n + b) // s) < m
        for n, b, s, m in zip(
            net.shape(result)[2:], pads[:axes], strides, net.shape("x")[2:], strict=True
        )
    )


def test_without_strides_and_pads_it_is_one_convolution(rng):
    net = FloatNet(rng, x=(1, 4, 5, 5))
    net.conv_transpose("x", 6, (3, 3))
    assert ops(rewritten(net.graph(), rng, LowerConvTranspose()).graph) == ["Conv"]


@pytest.mark.parametrize(
    ("op", "slope_shape"), [("Relu", None), ("LeakyRelu", None), ("PRelu", (6, 1)), ("PRelu", (1,))]
)
def test_an_activation_goes_with_the_convolution(op: str, slope_shape, rng):
    net = FloatNet(rng, x=(1, 4, 5))
    slopes = [] if slope_shape is None else [rng.uniform(0, 1, slope_shape).astype(np.float32)]
    activation = net.add(op, net.conv_transpose("x", 6, (4,), strides=(2,), group=2), *slopes)
    done = rewritten(net.graph(), rng, LowerConvTranspose())
    assert ops(done.graph)[:2] == ["Conv", op]
    assert done.graph.nodes[1].name == activation


def test_an_activation_stays_behind_where_something_else_reads_the_result(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    result = net.conv_transpose("x", 6, (4,), strides=(2,))
    done = rewritten(net.graph(result, net.add("Relu", result)), rng, LowerConvTranspose())
    assert ops(done.graph)[-1] == "Relu"


def test_declines_weights_computed_at_run_time(rng):
    net = FloatNet(rng, x=(1, 4, 5), w=(4, 3, 2))
    net.add("ConvTranspose", "x", "w")
    done = rewrite(net.graph(batch_is_free=False), [LowerConvTranspose()])
    assert reasons(done) == {
        "convtranspose0": "its weights are computed at run time or are not float32"
    }


@pytest.mark.parametrize(
    "attrs",
    [
        {"dilations": (2,)},
        {"output_shape": (9,), "strides": (2,)},
        {"auto_pad": "SAME_UPPER", "strides": (2,)},
        {"pads": (0, 2)},
    ],
)
def test_declines_forms_it_does_not_know(attrs, rng):
    net = FloatNet(rng, x=(1, 4, 5))
    net.add("ConvTranspose", "x", net.weights(4, 3, 2), **attrs)
    assert reasons(rewrite(net.graph(), [LowerConvTranspose()])) == {
        "convtranspose0": "its dilation, padding or output shape is not supported"
    }
