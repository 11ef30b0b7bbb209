"""Names of inner nodes and values that depend on the model alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import onnx

SCOPE = "body"  # where the graph lies while it is cut; taken off every name again
COUNTER = re.compile(r"__\d+(?=(:\d+)?$)")


def number_anew(graph: onnx.GraphProto) -> None:
    """Name inner values and nodes by their order, so that names do not depend on the run.

    tf2onnx ends the names it makes in ``__`` and a counter that goes on from model to model, and
    walks over sets. Names of inputs and outputs stay. (TensorFlow itself now and then leaves a
    Reshape to a computed shape that it folds in other runs; constant folding makes them equal.)
    """
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # a subgraph refers to values outside it by name
    values = _Names(value.name for value in (*graph.input, *graph.output))
    nodes = _Names()
    constants = {value.name for value in graph.initializer}
    for node in graph.node:
        node.name = nodes.get(node.name)
        for i, name in enumerate(node.input):
            # Of several equal constants tf2onnx keeps any one: named by where it is used first.
            wish = f"{node.name}/constant_{i}" if name in constants else name
            node.input[i] = name and values.get(name, wish)  # "" is an absent input
        node.output[:] = [name and values.get(name) for name in node.output]
    fields: list[Any] = [graph.initializer, graph.value_info]
    for field in fields:
        for value in field:
            value.name = values.get(value.name)
        field.sort(key=lambda value: values.order[value.name])


class _Names:
    """Gives out new names for old ones, in the order they are asked for."""

    def __init__(self, fixed: Iterable[str] = ()) -> None:
        self._new = {name: name for name in fixed}
        self.order = {name: i for i, name in enumerate(self._new)}

    def get(self, old: str, wish: str | None = None) -> str:
        """Return the new name of ``old``: as wished, or made of the old one; unique."""
        if old not in self._new:
            base = COUNTER.sub("", (wish or old).removeprefix(f"{SCOPE}/").removesuffix(":0"))
            numbered = (f"{base}__{i}" for i in itertools.count(1))
            new = next(n for n in itertools.chain([base], numbered) if n not in self.order)
            self._new[old] = new
            self.order[new] = len(self.order)
        return self._new[old]
