import numpy as np
import pytest
from rewriting import reasons, rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.ir.rewriter import rewrite
from tf2.passes.eliminate_identity import EliminateIdentity
from tf2.passes.fold_pad import FoldPad

ZERO = np.float32(0)


def padded_conv(rng, size, pads, *operands, kernel=3, **attrs) -> FloatNet:
    """Pad and Conv; its own pads are 0."""
    net = FloatNet(rng, x=(1, 2, *size))
    padded = net.add("Pad", "x", np.array(pads), *operands, **attrs)
    net.conv(padded, 3, (kernel,) * len(size))
    return net


@pytest.mark.parametrize(
    ("size", "pads"),
    [((6,), [0, 0, 1, 0, 0, 2]), ((5, 4), [0, 0, 1, 2, 0, 0, 0, 3]),
     ((4, 3, 3), [0, 0, 1, 0, 2, 0, 0, 1, 1, 0])],
)  # fmt: skip
def test_the_sizes_of_the_pad_become_those_of_the_convolution(size, pads, rng):
    done = rewritten(padded_conv(rng, size, pads, ZERO).graph(), rng, FoldPad())
    (conv,) = done.graph.nodes
    assert conv.attrs["pads"] == (*pads[2 : 2 + len(size)], *pads[4 + len(size) :])


def test_pads_of_the_convolution_are_added_to(rng):
    net = FloatNet(rng, x=(1, 2, 6))
    padded = net.add("Pad", "x", np.array([0, 0, 1, 0, 0, 2]))
    net.conv(padded, 3, (3,), pads=(1, 4))
    done = rewritten(net.graph(), rng, FoldPad())
    assert done.graph.nodes[0].attrs["pads"] == (2, 6)
    assert done.absorbed == {"pad0": "conv1"}


def test_named_axes_are_understood(rng):
    pads, axes = [1, 3], np.array([-1])
    done = rewritten(padded_conv(rng, (5, 4), pads, ZERO, axes).graph(), rng, FoldPad())
    assert done.graph.nodes[0].attrs["pads"] == (0, 1, 0, 3)


def test_consecutive_pads_are_all_folded(rng):
    net = FloatNet(rng, x=(1, 2, 6))
    once = net.add("Pad", "x", np.array([0, 0, 1, 0, 0, 2]))
    twice = net.add("Pad", once, np.array([0, 0, 3, 0, 0, 0]))
    net.conv(twice, 3, (3,))
    done = rewritten(net.graph(), rng, FoldPad())
    assert ops(done.graph) == ["Conv"]
    assert done.graph.nodes[0].attrs["pads"] == (4, 2)


OTHER = "it pads with values other than 0, or other axes than spatial"


@pytest.mark.parametrize(
    ("pads", "operands", "attrs"),
    [
        ([0, 0, 1, 1], [np.float32(1)], {}),
        ([0, 0, 1, 1], [], {"mode": "reflect"}),
        ([0, 0, 1, 1], [], {"mode": "edge"}),
        ([0, 1, 1, 1], [ZERO], {}),  # channels
    ],
)
def test_declines_other_paddings(pads, operands, attrs, rng):
    net = FloatNet(rng, x=(1, 2, 6))
    begin, end = [*pads[:2], pads[2]], [0, 0, pads[3]]
    padded = net.add("Pad", "x", np.array([*begin, *end]), *operands, **attrs)
    net.conv(padded, 3, (3,))
    assert untouched(net.graph(), rng, FoldPad()) == {padded: OTHER}


def test_declines_a_pad_that_cuts_off(rng):
    done = rewrite(padded_conv(rng, (6,), [0, 0, -1, 0, 0, 1], ZERO).graph(), [FoldPad()])
    assert ops(done.graph) == ["Pad", "Conv"]
    assert reasons(done) == {"pad0": OTHER}


def test_declines_a_value_computed_at_run_time(rng):
    net = FloatNet(rng, x=(1, 2, 6))
    value = net.add("Sigmoid", net.constant(np.float32(0)))
    padded = net.add("Pad", "x", np.array([0, 0, 1, 0, 0, 1]), value)
    net.conv(padded, 3, (3,))
    assert untouched(net.graph(), rng, FoldPad()) == {padded: OTHER}


def test_leaves_a_pad_that_something_else_reads_too(rng):
    net = FloatNet(rng, x=(1, 2, 6))
    padded = net.add("Pad", "x", np.array([0, 0, 1, 0, 0, 1]), ZERO)
    conv = net.conv(padded, 3, (3,))
    assert untouched(net.graph(padded, conv), rng, FoldPad()) == {}


def test_a_pad_of_nothing_is_removed_before(rng):
    net = padded_conv(rng, (6,), [0] * 6)
    assert ops(rewritten(net.graph(), rng, EliminateIdentity(), FoldPad()).graph) == ["Conv"]
