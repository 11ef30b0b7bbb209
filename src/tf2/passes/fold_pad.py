"""Zero padding into the convolution that reads it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf2.ir import Graph, Node
from tf2.ir.rewriter import RewritePattern, Rewriter


def spatial_pads(graph: Graph, node: Node) -> tuple[list[int], list[int]] | None:
    """Return (begin, end) of the spatial axes of a constant zero Pad of those axes only."""
    pads = graph.constant(node.inputs[1])
    if pads is None or node.attr("mode", "constant") != "constant":
        return None
    if node.operand(2):
        value = graph.constant(node.operand(2))
        if value is None or value.any():
            return None
    rank = len(graph.shape(node.inputs[0]))
    axes = np.arange(rank)
    if node.operand(3):
        given = graph.constant(node.operand(3))
        if given is None:
            return None
        axes = np.asarray(given) % rank
    begin, end = np.zeros(rank, int), np.zeros(rank, int)
    begin[axes], end[axes] = np.split(pads, 2)
    if begin[:2].any() or end[:2].any() or (begin < 0).any() or (end < 0).any():
        return None
    return begin[2:].tolist(), end[2:].tolist()


class FoldPad(RewritePattern):
    """Add the sizes of a zero Pad to the pads of the Conv that alone reads it. Exact."""

    roots = frozenset({"Pad"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Fold one Pad, or say why not."""
        graph = rewriter.graph
        user = graph.sole_user(node.output)
        if user is None or user.kind != "Conv":
            return
        sizes = spatial_pads(graph, node)
        if sizes is None:
            rewriter.decline(node, "it pads with values other than 0, or other axes than spatial")
            return
        begin, end = sizes
        rank = len(begin)
        old = tuple(user.attr("pads", (0,) * 2 * rank))
        pads = tuple(a + b for a, b in zip((*begin, *end), old, strict=True))
        conv = replace(user, inputs=(node.inputs[0], *user.inputs[1:])).with_attrs(pads=pads)
        rewriter.replace([node, user], [conv])
