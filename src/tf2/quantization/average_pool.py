"""What an average pooling divides its window sums by."""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph, Node
from tf2.ir.integer_ops import window
from tf2.numerics.integer_ops import Window


def kernel_of(graph: Graph, node: Node) -> tuple[int, ...]:
    """Return the kernel of AveragePool or GlobalAveragePool (the whole map)."""
    return tuple(node.attr("kernel_shape", graph.shape(node.inputs[0])[2:]))


def divisor(graph: Graph, node: Node) -> int | None:
    """Return the one number that every window is divided by, None where windows differ.

    ONNX divides by the positions of the window that lie on the input, or on the input and its
    declared padding when ``count_include_pad`` is set; never by positions beyond (ceil mode).
    """
    size = graph.shape(node.inputs[0])[2:]
    kernel = kernel_of(graph, node)
    rank = len(size)
    pads = tuple(node.attr("pads", (0,) * 2 * rank))
    walk = window(graph, node.with_attrs(kernel_shape=kernel))
    counts = _ones_seen(walk, size, pads if int(node.attr("count_include_pad", 0)) else None)
    return int(counts.flat[0]) if counts.min() == counts.max() else None


def _ones_seen(walk: Window, size: tuple[int, ...], pads: tuple[int, ...] | None) -> np.ndarray:
    """Return how many counted positions each window holds."""
    rank = len(size)
    begin = [(b, e) for b, e in zip(walk.pads_begin, walk.pads_end, strict=True)]
    counted = np.ones(
        tuple(n + b + max(e, 0) for n, (b, e) in zip(size, begin, strict=True)), dtype=np.int64
    )
    for axis, (b, _) in enumerate(begin):
        declared = (0, 0) if pads is None else (pads[axis], pads[rank + axis])
        at = np.arange(counted.shape[axis]) - b
        inside = (at >= -declared[0]) & (at < size[axis] + declared[1])
        counted *= inside.reshape([-1 if i == axis else 1 for i in range(rank)])
    unpadded = Window(
        kernel=walk.kernel,
        strides=walk.strides,
        pads_begin=(0,) * rank,
        pads_end=tuple(min(e, 0) for _, e in begin),
        dilations=walk.dilations,
    )
    return np.sum([seen for _, seen in unpadded.taps(counted[None, None], 0)], axis=0)
