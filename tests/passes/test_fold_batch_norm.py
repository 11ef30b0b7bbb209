import numpy as np
import pytest
from rewriting import rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.fold_batch_norm import FoldBatchNorm

# spatial size, kernel: a convolution over 1, 2 and 3 axes
AXES = [((9,), (3,)), ((6, 7), (3, 2)), ((4, 5, 3), (2, 3, 1))]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("size", "kernel"), AXES)
def test_folds_into_a_convolution(size, kernel, group: int, bias: bool, rng):
    net = FloatNet(rng, x=(1, 4, *size))
    net.batch_norm(net.conv("x", 8, kernel, group=group, bias=bias), epsilon=1e-3)
    assert ops(rewritten(net.graph(), rng, FoldBatchNorm()).graph) == ["Conv"]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(("size", "kernel"), AXES)
def test_folds_into_a_transposed_convolution(size, kernel, group: int, rng):
    net = FloatNet(rng, x=(1, 4, *size))
    net.batch_norm(net.conv_transpose("x", 6, kernel, group=group, strides=(2,) * len(size)))
    assert ops(rewritten(net.graph(), rng, FoldBatchNorm()).graph) == ["ConvTranspose"]


def test_folds_into_a_fully_connected_layer(rng):
    net = FloatNet(rng, x=(1, 5))
    net.batch_norm(net.gemm("x", 7))
    assert ops(rewritten(net.graph(), rng, FoldBatchNorm()).graph) == ["Gemm"]


def test_weights_shared_with_another_layer_keep_their_values(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    weight = net.constant(net.weights(4, 4, 3))
    first = net.batch_norm(net.add("Conv", "x", weight))
    second = net.add("Conv", "x", weight)
    done = rewritten(net.graph(first, second), rng, FoldBatchNorm())
    assert ops(done.graph) == ["Conv", "Conv"]


def test_the_convolution_keeps_its_name_and_takes_in_the_norm(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    conv = net.conv("x", 4, (3,))
    norm = net.batch_norm(conv)
    done = rewritten(net.graph(), rng, FoldBatchNorm())
    assert [node.name for node in done.graph.nodes] == [conv]
    assert done.absorbed == {norm: conv}
    assert done.graph.outputs == (norm,)


def test_declines_when_the_conv_result_has_another_user(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    conv = net.conv("x", 4, (3,))
    norm = net.batch_norm(conv)
    graph = net.graph(norm, net.add("Sigmoid", conv))
    assert untouched(graph, rng, FoldBatchNorm()) == {
        norm: f"the result of {conv!r} has another user"
    }


def test_declines_when_the_conv_result_is_a_graph_output(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    conv = net.conv("x", 4, (3,))
    norm = net.batch_norm(conv)
    assert "another user" in untouched(net.graph(conv, norm), rng, FoldBatchNorm())[norm]


def test_declines_when_no_linear_operator_feeds_it(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    norm = net.batch_norm("x")
    assert untouched(net.graph(), rng, FoldBatchNorm()) == {
        norm: "no convolution or fully connected layer feeds it"
    }


def test_declines_when_weights_are_computed_at_run_time(rng):
    net = FloatNet(rng, x=(1, 4, 5), w=(4, 4, 3))
    conv = net.add("Conv", "x", "w")
    norm = net.batch_norm(conv)
    graph = net.graph(batch_is_free=False)
    assert untouched(graph, rng, FoldBatchNorm()) == {
        norm: f"the weights of {conv!r} are computed at run time"
    }


def test_declines_when_parameters_are_computed_at_run_time(rng):
    net = FloatNet(rng, x=(1, 4, 5))
    conv = net.conv("x", 4, (3,))
    mean = net.add("Sigmoid", net.constant(net.vector(4)))
    variance = np.ones(4, np.float32)
    norm = net.add("BatchNormalization", conv, net.vector(4), net.vector(4), mean, variance)
    assert untouched(net.graph(), rng, FoldBatchNorm()) == {
        norm: "its parameters are computed at run time"
    }


def test_a_gemm_that_is_not_canonical_is_no_linear_operator(rng):
    """Its weight has output channels on the other axis: scaling axis 0 would be wrong."""
    net = FloatNet(rng, x=(1, 5))
    gemm = net.add("Gemm", "x", net.weights(5, 5), net.vector(5))
    norm = net.batch_norm(gemm)
    assert "no convolution" in untouched(net.graph(), rng, FoldBatchNorm())[norm]
