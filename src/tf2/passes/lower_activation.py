"""An activation that no linear operator can take in, behind a depthwise identity convolution.

The array applies activations as it writes a convolution's result, so y = relu(x) becomes
y = relu(conv(x)) with one weight of 1 a channel: exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf2.ir import FLOAT32, Node
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.activation import ACTIVATIONS, TAKES_ACTIVATION, activation_of


class LowerActivation(RewritePattern):
    """Give an activation of its own a depthwise 1x1 convolution to be fused into. Exact."""

    roots = ACTIVATIONS

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Lower one activation that stands alone."""
        graph = rewriter.graph
        x = node.inputs[0]
        shape = graph.shape(x)
        if len(shape) < 3 or x in graph.inputs or graph.types[x].dtype != FLOAT32:
            return
        if activation_of(graph, node) is None:
            return
        producer = graph.producers.get(x)
        if producer is None:
            return
        if producer.kind in TAKES_ACTIVATION and graph.sole_user(x) is node:
            return
        rank = len(shape) - 2
        weight = np.ones((shape[1], 1, *[1] * rank), np.float32)
        inputs = (x, rewriter.constant(f"{node.name}.identity", weight))
        copied = f"{node.output}.linear"
        attrs = {"group": shape[1], "kernel_shape": (1,) * rank}
        conv = Node(
            name=f"{node.name}.linear", op="Conv", inputs=inputs, outputs=(copied,), attrs=attrs
        )
        moved = replace(node, inputs=(copied, *node.inputs[1:]))
        rewriter.replace([node], [conv, moved], types={copied: graph.types[node.output]})
