"""The passes that only give one operation one form: global pools, sums, identities."""

import numpy as np
import pytest
from rewriting import rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.passes.canonicalize_pool import CanonicalizeGlobalPool
from tf2.passes.canonicalize_sum import CanonicalizeSum
from tf2.passes.eliminate_identity import EliminateIdentity


@pytest.mark.parametrize(
    ("size", "axes"),
    [((6,), [2]), ((6,), [-1]), ((5, 4), [2, 3]), ((5, 4), [-1, 2]), ((3, 4, 2), [4, 2, 3])],
)
@pytest.mark.parametrize(("keepdims", "kinds"), [(1, []), (0, ["Flatten"])])
def test_a_mean_over_all_positions_is_a_global_pool(keepdims, kinds, size, axes, rng):
    net = FloatNet(rng, x=(1, 3, *size))
    net.add("ReduceMean", "x", np.array(axes), keepdims=keepdims)
    done = rewritten(net.graph(), rng, CanonicalizeGlobalPool())
    assert ops(done.graph) == ["GlobalAveragePool", *kinds]


@pytest.mark.parametrize("axes", [[1], [2], [1, 2, 3]])
def test_a_mean_over_other_axes_is_left(axes, rng):
    net = FloatNet(rng, x=(1, 3, 5, 4))
    net.add("ReduceMean", "x", np.array(axes))
    assert untouched(net.graph(), rng, CanonicalizeGlobalPool()) == {}


def test_a_mean_over_everything_is_left(rng):
    net = FloatNet(rng, x=(1, 3, 5, 4))
    net.add("ReduceMean", "x")
    assert untouched(net.graph(batch_is_free=False), rng, CanonicalizeGlobalPool()) == {}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_sum_is_a_chain_of_additions_that_ends_in_its_name(count: int, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    operands = [net.add(op, "x") for op in ("Sigmoid", "Tanh", "Relu", "Abs")[: count - 1]]
    total = net.add("Sum", "x", *operands)
    done = rewritten(net.graph(), rng, CanonicalizeSum())
    assert ops(done.graph)[count - 1 :] == ["Add"] * (count - 1)
    assert done.graph.nodes[-1].name == total
    assert not done.absorbed


def test_a_sum_that_broadcasts_is_left(rng):
    net = FloatNet(rng, x=(1, 3, 4), y=(1, 3, 1))
    net.add("Sum", "x", "y")
    assert untouched(net.graph(), rng, CanonicalizeSum()) == {}


IDENTITIES = [
    ("Identity", [], {}),
    ("Dropout", [], {}),
    ("Reshape", [np.array([0, 3, 4])], {}),
    ("Cast", [], {"to": 1}),
    ("Transpose", [], {"perm": (0, 1, 2)}),
    ("Pad", [np.zeros(6, np.int64)], {}),
    ("Concat", [], {"axis": 1}),
]


@pytest.mark.parametrize(("op", "operands", "attrs"), IDENTITIES)
def test_an_operator_that_changes_nothing_goes(op, operands, attrs, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    before = net.add("Sigmoid", "x")
    same = net.add(op, before, *operands, **attrs)
    net.add("Tanh", same)
    done = rewritten(net.graph(), rng, EliminateIdentity())
    assert ops(done.graph) == ["Sigmoid", "Tanh"]
    assert done.absorbed == {same: ""}


@pytest.mark.parametrize(("op", "operands", "attrs"), IDENTITIES)
def test_one_that_names_a_graph_output_stays(op, operands, attrs, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    net.add(op, net.add("Sigmoid", "x"), *operands, **attrs)
    untouched(net.graph(), rng, EliminateIdentity())


@pytest.mark.parametrize(
    ("op", "operands", "attrs"),
    [
        ("Reshape", [np.array([0, 4, 3])], {}),
        ("Flatten", [], {"axis": 1}),
        ("Transpose", [], {"perm": (0, 2, 1)}),
        ("Pad", [np.array([0, 0, 1, 0, 0, 0])], {}),
    ],
)
def test_one_that_changes_something_stays(op, operands, attrs, rng):
    net = FloatNet(rng, x=(1, 3, 4))
    net.add("Tanh", net.add(op, net.add("Sigmoid", "x"), *operands, **attrs))
    untouched(net.graph(), rng, EliminateIdentity())


def test_a_flatten_of_a_matrix_goes(rng):
    net = FloatNet(rng, x=(1, 12))
    net.add("Tanh", net.add("Flatten", "x", axis=1))
    assert ops(rewritten(net.graph(), rng, EliminateIdentity()).graph) == ["Tanh"]


def test_a_dropout_whose_mask_is_read_stays(rng):
    net = FloatNet(rng, x=(1, 3, 4))
    drop = net.add("Dropout", net.add("Sigmoid", "x"), outputs=2)
    last = net.add("Tanh", drop)
    mask = net.add("Not", f"{drop}.1")
    untouched(net.graph(last, mask), rng, EliminateIdentity())
