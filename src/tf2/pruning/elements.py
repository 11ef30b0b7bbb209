"""The channels of every value of a graph, joined where they can only go together."""

from __future__ import annotations

import numpy as np

from tf2.ir import Graph

Ids = np.ndarray
"""Classes (or elements) of the channels of one value, int64 (C,)."""


class Elements:
    """One element for each channel, handed on and joined (union-find) as nodes are looked at.

    Attributes:
        graph: Whose.
        ids: Elements of the channels of each value looked at so far.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ids: dict[str, Ids] = {}
        self._parent: list[int] = []
        self._pinned: list[int] = []

    def of(self, value: str) -> Ids:
        """Return the elements of a value; new ones where it has none yet."""
        if value not in self.ids:
            shape = self.graph.shape(value)
            self.ids[value] = self.fresh(shape[1] if len(shape) > 1 else 0)
        return self.ids[value]

    def fresh(self, count: int) -> Ids:
        """Return new elements."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def pin(self, value: str) -> None:
        """Say that all channels of a value must stay."""
        if value and value in self.graph.types and value not in self.graph.constants:
            self._pinned.extend(self.of(value).tolist())

    def join(self, a: Ids, b: Ids) -> None:
        """Say that these elements can only go together, one by one."""
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self._root(other)] = self._root(one)

    def classes(self) -> tuple[dict[str, Ids], np.ndarray]:
        """Return the class of each channel by value, and which classes are pinned."""
        roots = np.array([self._root(i) for i in range(len(self._parent))], np.int64)
        distinct, number = np.unique(roots, return_inverse=True)
        pinned = np.zeros(len(distinct), bool)
        pinned[number[self._pinned]] = True
        return {name: number[ids] for name, ids in self.ids.items() if len(ids)}, pinned

    def _root(self, element: int) -> int:
        parent = self._parent
        while parent[element] != element:
            parent[element] = parent[parent[element]]
            element = parent[element]
        return element
