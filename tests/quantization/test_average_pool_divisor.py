from itertools import product

import numpy as np
import pytest

from float_graphs import FloatNet
from tf2.execution import Runner
from tf2.quantization.average_pool import divisor, kernel_of


def pool_net(rng, size, **attrs):
    net = FloatNet(rng, x=(1, 1, *size))
    return net, net.add("AveragePool", "x", **attrs)


def divisors_found(graph, size) -> set[int]:
    """Measure them: ones through the pool give the counted share of each window that is input."""
    ones = Runner(graph, threads=1)({"x": np.ones((1, 1, *size), np.float32)})
    sums = _positions_seen(graph, size)
    return {
        round(count / mean)
        for count, mean in zip(sums, ones[graph.outputs[0]].reshape(-1), strict=True)
    }


def _positions_seen(graph, size) -> list[int]:
    """Count by brute force the input positions in each window, one by one."""
    (pool,) = graph.nodes
    rank = len(size)
    kernel, strides = pool.attrs["kernel_shape"], pool.attr("strides", (1,) * rank)
    begin = pool.attr("pads", (0,) * 2 * rank)[:rank]
    dilations = pool.attr("dilations", (1,) * rank)
    counts = []
    for at in product(*(range(n) for n in graph.shape(pool.output)[2:])):
        taps = product(*(range(k) for k in kernel))
        inside = [
            all(
                0 <= a * s - b + t * d < n
                for a, s, b, t, d, n in zip(at, strides, begin, tap, dilations, size, strict=True)
            )
            for tap in taps
        ]
        counts.append(sum(inside))
    return counts


KERNELS = [
    ((7,), {"kernel_shape": (3,)}),
    ((7,), {"kernel_shape": (3,), "strides": (2,)}),
    ((7,), {"kernel_shape": (3,), "strides": (2,), "pads": (1, 1)}),
    ((8,), {"kernel_shape": (3,), "strides": (2,), "ceil_mode": 1}),
    ((8,), {"kernel_shape": (3,), "strides": (2,), "ceil_mode": 1, "pads": (1, 0)}),
    ((9,), {"kernel_shape": (3,), "dilations": (2,)}),
    ((9,), {"kernel_shape": (3,), "dilations": (2,), "pads": (2, 2)}),
    ((6, 6), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    ((6, 6), {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}),
    ((6, 5), {"kernel_shape": (3, 2), "pads": (0, 0, 0, 0), "strides": (3, 2)}),
    ((6, 5), {"kernel_shape": (6, 5)}),
    ((4, 4, 4), {"kernel_shape": (2, 2, 2), "pads": (0, 0, 0, 1, 0, 0)}),
    ((3, 3), {"kernel_shape": (3, 3), "strides": (3, 3), "pads": (1, 1, 2, 2)}),
]


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize(("size", "attrs"), KERNELS)
def test_the_divisor_is_the_one_onnx_runtime_divides_by(size, attrs, include, rng):
    net, pool = pool_net(rng, size, count_include_pad=include, **attrs)
    graph = net.graph()
    found = divisors_found(graph, size)
    expected = found.pop() if len(found) == 1 else None
    assert divisor(graph, graph.node(pool)) == expected


def test_both_answers_occur():
    """Else the comparison above would say little."""
    rng = np.random.default_rng(0)
    answers = set()
    for size, attrs in KERNELS:
        net, pool = pool_net(rng, size, **attrs)
        graph = net.graph()
        answers.add(divisor(graph, graph.node(pool)) is None)
    assert answers == {True, False}


@pytest.mark.parametrize("size", [(5,), (4, 7), (2, 3, 4)])
def test_a_global_pool_divides_by_the_size_of_the_map(size, rng):
    net = FloatNet(rng, x=(1, 2, *size))
    pool = net.add("GlobalAveragePool", "x")
    graph = net.graph()
    assert kernel_of(graph, graph.node(pool)) == size
    assert divisor(graph, graph.node(pool)) == np.prod(size)
