"""The nodes and initializers of an ONNX graph while it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Emitter:
    """Collects ONNX nodes in order, and constants; names never clash with those of the graph.

    Attributes:
        nodes: The nodes so far, in topological order.
        initializers: Constants that the graph itself does not hold.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        """Add a constant and return its name."""
        unique = f"{name}~"  # "~" keeps it apart from the names of the graph
        self.initializers.append(numpy_helper.from_array(np.asarray(value), unique))
        return unique

    def node(
        self, op: str, inputs: list[str], output: str, *, name: str, domain: str = "", **attrs: Any
    ) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, domain=domain, **attrs))
        return output
