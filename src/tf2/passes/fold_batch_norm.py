"""BatchNormalization into the linear operator before it, or a depthwise convolution of its own.

Linear: w*s, (b - mean)*s + beta, with s = gamma / sqrt(var + eps); exact over the reals. Source:
Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.linear import (
    bias_of,
    is_linear,
    output_channel_axis,
    scaled_weight,
    with_parameters,
)


def batch_norm_affine(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (gain, offset), float64 (C,), of y = x*gain + offset; None if not constant."""
    parameters = [graph.constant(name) for name in node.inputs[1:5]]
    if any(p is None for p in parameters) or int(node.attr("training_mode", 0)):
        return None
    gamma, beta, mean, var = (p.astype(np.float64) for p in parameters if p is not None)
    gain = gamma / np.sqrt(var + float(node.attr("epsilon", 1e-5)))
    return gain, beta - mean * gain


class FoldBatchNorm(RewritePattern):
    """Fold BatchNormalization into the Conv, ConvTranspose or Gemm that feeds it alone.

    Shapes: w (O, I/groups, *kernel); gain and offset (O,). Exact over the reals, so float32 differs
    by rounding only.
    """

    roots = frozenset({"BatchNormalization"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Fold one BatchNormalization, or say why not."""
        graph = rewriter.graph
        producer = graph.producers.get(node.inputs[0])
        if producer is None or not is_linear(producer):
            rewriter.decline(node, "no convolution or fully connected layer feeds it")
            return
        affine = batch_norm_affine(graph, node)
        if affine is None:
            rewriter.decline(node, "its parameters are computed at run time")
            return
        fold_affine(node, producer, *affine, rewriter=rewriter)


def fold_affine(
    node: Node, producer: Node, gain: np.ndarray, offset: np.ndarray, *, rewriter: Rewriter
) -> None:
    """Replace ``producer`` and the per-channel ``x*gain + offset`` after it by one linear node."""
    graph = rewriter.graph
    if graph.sole_user(producer.output) is not node:
        rewriter.decline(node, f"the result of {producer.name!r} has another user")
        return
    weight = graph.constant(producer.inputs[1])
    bias = bias_of(graph, producer)
    if weight is None or bias is None:
        rewriter.decline(node, f"the weights of {producer.name!r} are computed at run time")
        return
    axis = output_channel_axis(producer)
    folded = scaled_weight(weight, gain, axis, groups=int(producer.attr("group", 1)))
    new = with_parameters(rewriter, producer, folded, bias * gain + offset, output=node.output)
    rewriter.replace([producer, node], [new])
