"""A network between the protobuf message and the graph: plain values, no types yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tf2.ir import Node, Plain

Dims = tuple[int | None, ...]
"""Axis sizes; None where the file leaves one open."""


@dataclass(frozen=True)
class Input:
    """What the file says of a graph input; ``dims`` is None when not even the rank is known."""

    dtype: Plain
    dims: Dims | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """Nodes in the file's order with constants apart; every operator means what opset 21 says."""

    name: str
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]

    def with_nodes(
        self, nodes: Iterable[Node], constants: Mapping[str, np.ndarray] | None = None
    ) -> Draft:
        """Return the draft with other nodes and constants added, without what no output needs."""
        kept = needed_nodes(tuple(nodes), self.outputs)
        read = {name for node in kept for name in node.inputs} | set(self.outputs)
        merged = {**self.constants, **(constants or {})}
        return replace(
            self, nodes=kept, constants={name: c for name, c in merged.items() if name in read}
        )


def needed_nodes(nodes: tuple[Node, ...], outputs: Iterable[str]) -> tuple[Node, ...]:
    """Return the nodes, in order, that the outputs depend on."""
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(name for name in node.inputs if name)
    return tuple(reversed(kept))
