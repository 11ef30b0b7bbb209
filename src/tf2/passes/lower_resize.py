"""Nearest-neighbour enlargement by whole factors as a choice of bytes.

Every output position is a copy of an input position, so Gather along each axis does it, on bytes.
"""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph, Node, TensorType
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.on_array import array_values

COORDINATES = frozenset({"asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"})
"""Modes that are x / factor, or (x + 0.5) / factor - 0.5, for whole factors."""


class LowerResize(RewritePattern):
    """Write a nearest Resize by whole factors, of a value of the array, as Gathers. Exact."""

    roots = frozenset({"Resize"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Lower one Resize, or say why not."""
        graph = rewriter.graph
        if node.inputs[0] not in array_values(graph):
            return
        reason = _refusal(graph, node)
        if reason:
            rewriter.decline(node, reason)
            return
        source, target = graph.shape(node.inputs[0]), graph.shape(node.output)
        axes = [axis for axis, (n, m) in enumerate(zip(source, target, strict=True)) if m != n]
        shape = list(source)
        types: dict[str, TensorType] = {}
        nodes: list[Node] = []
        value = node.inputs[0]
        for axis in axes:
            shape[axis] = target[axis]
            last = axis == axes[-1]
            result = node.output if last else f"{node.output}.axis{axis}"
            types[result] = TensorType(graph.types[node.output].dtype, tuple(shape))
            index = nearest_positions(node, source[axis], target[axis])
            gather = Node(
                name=node.name if last else f"{node.name}.axis{axis}",
                op="Gather",
                inputs=(value, rewriter.constant(f"{node.name}.positions{axis}", index)),
                outputs=(result,),
                attrs={"axis": axis},
            )
            nodes.append(gather)
            value = result
        rewriter.replace([node], nodes, types=types)


def _refusal(graph: Graph, node: Node) -> str:
    if node.attr("mode", "nearest") != "nearest":
        return f"the array does not interpolate ({node.attrs['mode']})"
    source, target = graph.shape(node.inputs[0]), graph.shape(node.output)
    coordinates = node.attr("coordinate_transformation_mode", "half_pixel")
    if coordinates not in COORDINATES or source == target or source[0] != target[0]:
        return "it chooses positions in a way that is not understood"
    if any(m % n for n, m in zip(source, target, strict=True)) or not _scales_are_whole(
        graph, node, source, target
    ):
        return "it does not enlarge by whole factors"
    return ""


def _scales_are_whole(
    graph: Graph, node: Node, source: tuple[int, ...], target: tuple[int, ...]
) -> bool:
    """Tell whether given scales are those of the shapes: 2.4 of size 2 would give 4 as well."""
    scales = graph.constant(node.operand(2))
    if scales is None or not scales.size:
        return (
            bool(node.operand(3)) and node.attr("keep_aspect_ratio_policy", "stretch") == "stretch"
        )
    axes = node.attr("axes", tuple(range(len(source))))
    return all(
        float(scale) == target[axis] / source[axis]
        for axis, scale in zip(axes, scales, strict=True)
    )


def nearest_positions(node: Node, source: int, target: int) -> np.ndarray:
    """Return the input position of each output position along one axis, whole factor."""
    at = np.arange(target, dtype=np.float64)
    factor = target // source
    if node.attr("coordinate_transformation_mode", "half_pixel") == "asymmetric":
        real = at / factor
    else:
        real = (at + 0.5) / factor - 0.5
    rounded = {
        "round_prefer_floor": np.ceil(real - 0.5),
        "round_prefer_ceil": np.floor(real + 0.5),
        "floor": np.floor(real),
        "ceil": np.ceil(real),
    }[node.attr("nearest_mode", "round_prefer_floor")]
    return np.clip(rounded, 0, source - 1).astype(np.int64)
