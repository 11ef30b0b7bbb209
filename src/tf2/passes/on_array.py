"""Which values of a graph the array will write: what decides whether lowering a node is worth it.

On a value of the host, an operator of the array would only round once more.
"""

from __future__ import annotations

from tf2.ir import Graph, Node
from tf2.ir.integer_ops import BYTE_MOVERS
from tf2.passes.activation import ACTIVATIONS

_AFFINE = frozenset({"BatchNormalization", "Mul", "Div", "Sub"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool"})


def array_values(graph: Graph) -> frozenset[str]:
    """Return the values that a layer of the array writes, or that are made of those by moves.

    Judged by operators alone: affine nodes and activations count as lowered already, and pools
    that divide windows by different counts as pools of the array.
    """
    found: set[str] = set()
    for node in graph.nodes:
        if _is_on_array(graph, node, found):
            found.update(name for name in node.outputs if name)
    return frozenset(found)


def _is_on_array(graph: Graph, node: Node, found: set[str]) -> bool:
    if node.kind in ("Conv", "ConvTranspose", "Gemm"):
        return node.inputs[1] in graph.constants
    if node.kind == "Concat":
        return all(name in found for name in node.inputs)
    if node.kind == "Add":
        return any(name in found for name in node.inputs)
    if node.kind in _AFFINE:
        read = [name for name in node.inputs if name not in graph.constants]
        return len(read) == 1 and read[0] in found
    return node.kind in ACTIVATIONS | BYTE_MOVERS | _POOLS and node.inputs[0] in found
