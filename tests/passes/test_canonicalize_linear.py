import numpy as np
import pytest
from rewriting import rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.canonicalize_linear import CanonicalizeLinear
from tf2.passes.fold_affine import FoldAffine
from tf2.passes.linear import CANONICAL_GEMM, is_linear


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, -0.5])
@pytest.mark.parametrize("beta", [1.0, 3.0])
@pytest.mark.parametrize("bias_shape", [None, (), (1,), (7,), (1, 7), (1, 1)])
def test_every_gemm_with_a_constant_matrix_becomes_canonical(bias_shape, beta, alpha, trans_b, rng):
    net = FloatNet(rng, x=(1, 5))
    matrix = net.weights(7, 5) if trans_b else net.weights(5, 7)
    bias = [] if bias_shape is None else [rng.normal(size=bias_shape).astype(np.float32)]
    net.add("Gemm", "x", matrix, *bias, transB=trans_b, alpha=alpha, beta=beta)
    (gemm,) = rewritten(net.graph(), rng, CanonicalizeLinear()).graph.nodes
    assert gemm.attrs == CANONICAL_GEMM
    assert is_linear(gemm)


def test_a_matmul_becomes_a_gemm_of_the_same_name_and_takes_its_bias_in(rng):
    net = FloatNet(rng, x=(1, 5))
    product = net.add("MatMul", "x", net.weights(5, 7))
    net.add("Add", product, net.vector(7))
    done = rewritten(net.graph(), rng, CanonicalizeLinear(), FoldAffine())
    assert [(node.name, node.op) for node in done.graph.nodes] == [(product, "Gemm")]


def test_a_canonical_gemm_is_left_without_a_word(rng):
    net = FloatNet(rng, x=(1, 5))
    net.gemm("x", 7)
    assert untouched(net.graph(), rng, CanonicalizeLinear()) == {}


def test_declines_a_bias_computed_at_run_time(rng):
    net = FloatNet(rng, x=(1, 5), b=(1, 7))
    gemm = net.add("Gemm", "x", net.weights(5, 7), "b")
    assert untouched(net.graph(), rng, CanonicalizeLinear()) == {
        gemm: "its bias is computed at run time or differs between samples"
    }


def test_declines_a_bias_of_each_sample(rng):
    net = FloatNet(rng, x=(7, 5))
    gemm = net.add("Gemm", "x", net.weights(5, 7), net.vector(7).reshape(7, 1))
    assert untouched(net.graph(batch_is_free=False), rng, CanonicalizeLinear()) == {
        gemm: "its bias is computed at run time or differs between samples"
    }


def test_leaves_what_is_no_layer(rng):
    net = FloatNet(rng, x=(1, 5), w=(5, 7), y=(1, 4, 5))
    run_time = net.add("MatMul", "x", "w")
    batched = net.add("MatMul", "y", net.weights(5, 7))
    transposed = net.add("Gemm", "w", net.weights(5, 3), transA=1)
    graph = net.graph(run_time, batched, transposed, batch_is_free=False)
    assert untouched(graph, rng, CanonicalizeLinear()) == {}
    assert ops(graph) == ["MatMul", "MatMul", "Gemm"]


def test_a_transposed_input_makes_a_gemm_no_layer(rng):
    net = FloatNet(rng, x=(5, 4))
    gemm = net.add("Gemm", "x", net.weights(7, 5), transA=1, transB=1, alpha=1.0, beta=1.0)
    graph = net.graph(batch_is_free=False)
    assert not is_linear(graph.node(gemm))
    assert untouched(graph, rng, CanonicalizeLinear()) == {}
