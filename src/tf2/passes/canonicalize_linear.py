"""Fully connected layers in one form: Gemm(x, W (O, K), bias (O,)) with transB=1, alpha=beta=1."""

from __future__ import annotations

import numpy as np

from tf2.ir import Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.linear import CANONICAL_GEMM, bias_of, is_linear


class CanonicalizeLinear(RewritePattern):
    """Write MatMul and Gemm with a constant matrix as the one canonical Gemm.

    Applies to x of shape (batch, K). Exact over the reals; alpha and beta are multiplied in.
    """

    roots = frozenset({"MatMul", "Gemm"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Rewrite one node, or say why not."""
        graph = rewriter.graph
        matrix = graph.constant(node.inputs[1])
        if matrix is None or matrix.ndim != 2 or matrix.dtype != np.float32:
            return
        if len(graph.shape(node.inputs[0])) != 2 or int(node.attr("transA", 0)):
            return
        if is_linear(node):
            return
        if node.op == "MatMul" or not int(node.attr("transB", 0)):
            matrix = matrix.T
        weight = matrix * np.float32(node.attr("alpha", 1.0))
        bias = bias_of(graph, node) if node.op == "Gemm" else np.zeros(len(weight))
        if bias is None:
            rewriter.decline(node, "its bias is computed at run time or differs between samples")
            return
        bias = bias * float(node.attr("beta", 1.0))
        inputs = (
            node.inputs[0],
            rewriter.constant(f"{node.name}.weight", np.ascontiguousarray(weight)),
            rewriter.constant(f"{node.name}.bias", bias.astype(np.float32)),
        )
        attrs = CANONICAL_GEMM
        gemm = Node(name=node.name, op="Gemm", inputs=inputs, outputs=node.outputs, attrs=attrs)
        rewriter.replace([node], [gemm])
