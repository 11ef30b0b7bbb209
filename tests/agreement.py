"""The golden interpreter and ONNX Runtime, held against each other bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tf2.execution import Runner, interpret
from tf2.ir import Feature, Graph


def assert_same_integers(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compare every feature tensor and output of the graph; return the golden values."""
    features = [
        name
        for node in graph.nodes
        for name in node.outputs
        if isinstance(graph.types[name].dtype, Feature)
    ]
    values = list(dict.fromkeys([*features, *graph.outputs]))
    golden = interpret(graph, feeds, values)
    found = Runner(graph, outputs=values, threads=1)(feeds)
    for name in values:
        assert golden[name].dtype == found[name].dtype, name
        np.testing.assert_array_equal(found[name], golden[name], err_msg=f"value {name}")
    return golden
