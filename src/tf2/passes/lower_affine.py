"""A BatchNormalization or a per-channel Mul, Add, ... of its own as a depthwise 1x1 convolution.

The array then runs it: weight +-1, and the gain is the per-channel multiplier.
"""

from __future__ import annotations

from tf2.ir import Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.depthwise import replace_by_depthwise
from tf2.passes.fold_affine import channel_affine
from tf2.passes.fold_batch_norm import batch_norm_affine
from tf2.passes.on_array import array_values


class LowerAffine(RewritePattern):
    """Turn a per-channel y = x*gain + offset into Conv with group = C and kernel 1.

    Runs after the folds: only what no linear operator could take in is left. A node that reads a
    value of the host stays there, where it is exact and the bytes are chosen after it.
    """

    roots = frozenset({"BatchNormalization", "Mul", "Div", "Add", "Sub"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Lower one node."""
        graph = rewriter.graph
        if node.op == "BatchNormalization":
            norm = batch_norm_affine(graph, node)
            affine = None if norm is None else (node.inputs[0], *norm)
        else:
            affine = channel_affine(graph, node)
        if affine is None:
            return
        x, gain, offset = affine
        if x not in array_values(graph):
            rewriter.decline(node, "what it reads is float on the host")
            return
        replace_by_depthwise(rewriter, node, x, gain, offset)
