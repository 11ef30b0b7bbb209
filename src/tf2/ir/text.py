"""A graph as text, one line a node: for people, for goldens and for diffs."""

from __future__ import annotations

import numpy as np

from tf2.ir.graph import Attr, Graph, Node


def to_text(graph: Graph) -> str:
    """Return the graph as text; equal graphs give equal text, constants shown by type only."""
    batch = "any batch" if graph.batch_is_free else "fixed batch"
    lines = [f"graph {graph.name} ({batch})"]
    lines += [f"  input  %{name}: {graph.types[name]}" for name in graph.inputs]
    lines += [f"  {_node_line(graph, node)}" for node in graph.nodes]
    lines += [f"  output %{name}: {graph.types[name]}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def _node_line(graph: Graph, node: Node) -> str:
    outputs = ", ".join(f"%{n}: {graph.types[n]}" for n in node.outputs if n)
    inputs = ", ".join(_operand(graph, n) for n in node.inputs)
    attrs = ", ".join(f"{k}={_attr_text(v)}" for k, v in sorted(node.attrs.items()))
    return f"{outputs} = {node.kind}({inputs})" + (f" {{{attrs}}}" if attrs else "")


def _operand(graph: Graph, name: str) -> str:
    if not name:
        return "-"
    data = graph.constant(name)
    if data is None:
        return f"%{name}"
    if data.size <= 8 and data.dtype.kind in "iub":
        return str(data.reshape(-1).tolist()) if data.ndim else str(data.item())
    return f"const {graph.types[name]}"


def _attr_text(value: Attr) -> str:
    if isinstance(value, np.ndarray):
        return f"tensor {value.dtype}{list(value.shape)}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_attr_text(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
