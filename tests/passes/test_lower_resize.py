import numpy as np
import pytest
from rewriting import reasons, rewritten, untouched

from float_graphs import FloatNet, ops
from tf2.execution import Runner
from tf2.ir.rewriter import rewrite
from tf2.passes.lower_resize import COORDINATES, LowerResize

ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resized(rng, size, *operands, **attrs) -> FloatNet:
    """Resize of a convolution's result."""
    net = FloatNet(rng, x=(1, 2, *size))
    net.add("Resize", net.conv("x", 3, (1,) * len(size)), "", *operands, **attrs)
    return net


def scales(*factors: float) -> np.ndarray:
    return np.array([1, 1, *factors], np.float32)


@pytest.mark.parametrize("coordinates", sorted(COORDINATES))
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_way_to_choose_the_nearest_is_that_of_onnx_runtime(coordinates, rounding, rng):
    """Every element is copied, so the results are equal to the bit."""
    for factor in (2, 3, 4, 5, 7):
        attrs = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
        before = resized(rng, (5, 1), scales(factor, 1), **attrs).graph()
        done = rewrite(before, [LowerResize()])
        assert ops(done.graph) == ["Conv", "Gather"]
        x = {"x": rng.normal(size=(2, 2, 5, 1)).astype(np.float32)}
        for name, expected in Runner(before, threads=1)(x).items():
            np.testing.assert_array_equal(Runner(done.graph, threads=1)(x)[name], expected)


@pytest.mark.parametrize(
    ("size", "factors"), [((5,), (3,)), ((4, 3), (2, 2)), ((4, 3), (1, 4)), ((2, 3, 4), (2, 3, 1))]
)
def test_each_axis_that_grows_is_one_gather(size, factors, rng):
    net = resized(rng, size, scales(*factors), mode="nearest")
    done = rewritten(net.graph(), rng, LowerResize())
    assert ops(done.graph) == ["Conv"] + ["Gather"] * sum(f > 1 for f in factors)
    assert done.graph.nodes[-1].name == "resize1"


def test_sizes_instead_of_scales_and_axes_are_understood(rng):
    net = resized(rng, (4, 3), "", np.array([8, 9]), mode="nearest", axes=(2, 3))
    assert ops(rewritten(net.graph(), rng, LowerResize()).graph) == ["Conv", "Gather", "Gather"]
    net = resized(rng, (4, 3), np.array([2, 2], np.float32), mode="nearest", axes=(-1, -2))
    assert ops(rewritten(net.graph(), rng, LowerResize()).graph) == ["Conv", "Gather", "Gather"]


@pytest.mark.parametrize(
    ("factors", "attrs", "reason"),
    [
        ((2, 2), {"mode": "linear"}, "the array does not interpolate (linear)"),
        ((2, 2), {"mode": "cubic"}, "the array does not interpolate (cubic)"),
        ((0.5, 0.5), {}, "it does not enlarge by whole factors"),
        ((1.5, 2), {}, "it does not enlarge by whole factors"),
        ((2.1, 2), {}, "it does not enlarge by whole factors"),  # 4 * 2.1 is 8 positions too
        (
            (2, 2),
            {"coordinate_transformation_mode": "align_corners"},
            "it chooses positions in a way that is not understood",
        ),
    ],
)
def test_declines_what_is_no_copy_by_whole_factors(factors, attrs, reason, rng):
    net = resized(rng, (4, 4), scales(*factors), **attrs)
    assert reasons(rewrite(net.graph(), [LowerResize()])) == {"resize1": reason}


def test_a_value_of_the_host_stays_there(rng):
    net = FloatNet(rng, x=(1, 2, 4))
    net.add("Resize", net.add("Sigmoid", "x"), "", scales(2), mode="nearest")
    assert untouched(net.graph(), rng, LowerResize()) == {}
