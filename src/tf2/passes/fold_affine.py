"""Mul, Div, Add and Sub by a constant per channel into the linear operator before them."""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.fold_batch_norm import fold_affine
from tf2.passes.linear import is_linear


def channel_affine(graph: Graph, node: Node) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Return (x, gain, offset), (C,) float64, of a node y = x*gain + offset per channel, else None.

    Matches Mul, Div, Add and Sub whose other operand is a constant that is the same over the batch
    and all spatial positions.
    """
    left, right = node.inputs
    constant_first = graph.constant(left) is not None
    x, name = (right, left) if constant_first else (left, right)
    data = graph.constant(name)
    if data is None or graph.constant(x) is not None or data.dtype != np.float32:
        return None
    shape = graph.shape(x)
    if len(shape) < 2 or graph.shape(node.output) != shape or data.ndim > len(shape):
        return None
    aligned = data.reshape((1,) * (len(shape) - data.ndim) + data.shape)
    if aligned.size not in (1, aligned.shape[1]):
        return None
    values = np.broadcast_to(aligned.reshape(-1), shape[1]).astype(np.float64)
    ones, zeros = np.ones(shape[1]), np.zeros(shape[1])
    if node.op == "Mul":
        return x, values, zeros
    if node.op == "Add":
        return x, ones, values
    if node.op == "Sub":
        return (x, -ones, values) if constant_first else (x, ones, -values)
    if constant_first or not values.all():
        return None  # constant / x is no affine map; division by zero is left to the runtime
    return x, 1.0 / values, zeros


class FoldAffine(RewritePattern):
    """Fold a per-channel Mul, Div, Add or Sub into the linear operator that feeds it alone.

    Exact over the reals, so float32 differs by rounding only.
    """

    roots = frozenset({"Mul", "Div", "Add", "Sub"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Fold one node, or say why not."""
        affine = channel_affine(rewriter.graph, node)
        if affine is None:
            return
        x, gain, offset = affine
        producer = rewriter.graph.producers.get(x)
        if producer is None or not is_linear(producer):
            return
        fold_affine(node, producer, gain, offset, rewriter=rewriter)
