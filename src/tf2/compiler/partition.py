"""Which nodes of an integer graph run on the array, in which segment, and why the others do not.

Segments alternate: host, array, host, ... Those of even number run on the host. A node stands in
the earliest segment of its kind in which all it reads is there.

Operators that only rearrange bytes are no work where a layer of the array reads what they give:
it reads the bytes where they are (`Views`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.compiler.ops import Axes, MapType
from tf2.compiler.weights import terms_needed
from tf2.execution.interpreter import run_node
from tf2.ir import Feature, Graph, Node
from tf2.ir.integer_ops import DOMAIN, window

REARRANGES = frozenset(
    {
        "DepthToSpace", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "SpaceToDepth",
        "Split", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Byte movers that give out each byte at most at one place."""

PADDING = -1
"""Where a view shows the zero point and no byte of its base."""

LARGEST_SIZE = (1 << 13) - 1
"""Largest height, width and depth of a map on the array."""

MOST_CHANNELS = 1 << 15
"""Of a map on the array: the first fully connected layer of VGG-16 reads 25,088."""


def map_type(graph: Graph, value: str) -> MapType | None:
    """Return the map that a value of the graph is, None where it is none."""
    kind = graph.types[value]
    shape = kind.shape
    if not 2 <= len(shape) <= 5 or shape[0] != 1:
        return None
    if max(shape[2:], default=1) > LARGEST_SIZE or shape[1] > MOST_CHANNELS:
        return None
    depth, height, width = (*(1,) * (5 - len(shape)), *shape[2:])
    size = (depth, height, width)
    if not isinstance(kind.dtype, Feature):
        return MapType(channels=shape[1], size=size, sums=True)
    return MapType(
        channels=shape[1],
        size=size,
        zero_point=kind.dtype.zero_point,
        frac_bits=kind.dtype.frac_bits,
    )


def array_refusal(graph: Graph, node: Node, config: OverlayConfig) -> str | None:
    """Return why the array does not compute a node, "" where it does, None where it never could."""
    if node.domain == DOMAIN and node.op in ("Conv", "Add", "AveragePool"):
        operands = node.inputs[:2] if node.op == "Add" else node.inputs[:1]
    elif node.kind in ("MaxPool", "Concat") and _is_feature(graph, node.output):
        operands = node.inputs
    else:
        return None
    if any(map_type(graph, name) is None for name in (*operands, node.output)):
        return "its maps have no batch of one sample, over three axes, or are too large"
    if node.op == "Add" and graph.shape(operands[0]) != graph.shape(operands[1]):
        return "its operands differ in shape"
    if node.op == "Concat" and int(node.attr("axis", 1)) % len(graph.shape(node.output)) != 1:
        return "it joins along an axis that is not the channels"
    if node.op == "MaxPool":
        return _pool_refusal(graph, node)
    if node.op == "Conv":
        weight = graph.constants[node.inputs[1]]
        if weight.ndim == 5 and weight.shape[2] > 1 and terms_needed(weight, config) > 1:
            return "its 8-bit weights span slices, which lanes that shift cannot do"
    return ""


def _pool_refusal(graph: Graph, node: Node) -> str:
    if len([name for name in node.outputs if name]) > 1:
        return "it also returns the positions of the maxima"
    walk = window(graph, node)
    if any(d != 1 for d, k in zip(walk.dilations, walk.kernel, strict=True) if k > 1):
        return "its windows have gaps"
    before, after = graph.shape(node.inputs[0])[2:], graph.shape(node.output)[2:]
    axes = [
        (k, s, p)
        for k, s, p, n, o in zip(
            walk.kernel, walk.strides, walk.pads_begin, before, after, strict=True
        )
        if n > 1 or o > 1
    ]
    if len(before) == 3 and (before[0] > 1 or after[0] > 1):
        if axes[0] != (1, 1, 0):
            return "its windows span slices"
        axes = axes[1:]
    if len({(k, s) for k, s, _ in axes}) > 1:
        return "its windows are not square"
    return ""


def _is_feature(graph: Graph, value: str) -> bool:
    return isinstance(graph.types[value].dtype, Feature)


@dataclass(frozen=True, eq=False)
class View:
    """A value whose every byte is one of another map's.

    Attributes:
        base: That map, written by a node on the array.
        index: For each element of the value, its place among the base's, or `PADDING`.
    """

    base: str
    index: NDArray[np.int64]


class Views:
    """The values that are rearranged bytes of maps that the array writes.

    Args:
        graph: The integer graph.
        on_array: Names of the nodes that the array computes.
        config: The overlay.
    """

    def __init__(self, graph: Graph, on_array: frozenset[str], config: OverlayConfig) -> None:
        self._graph = graph
        self._config = config
        self._on_array = on_array
        self._known: dict[str, View | None] = {}

    def of(self, value: str) -> View | None:
        """Return the view that a value is, None where it is not one; a map is a view of itself."""
        if value not in self._known:
            self._known[value] = self._trace(value)
        return self._known[value]

    def _trace(self, value: str) -> View | None:
        node = self._graph.producers.get(value)
        if node is None:
            return None
        if node.name in self._on_array:
            shape = self._graph.shape(value)
            return View(value, np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape))
        if node.kind not in REARRANGES or not _is_feature(self._graph, value):
            return None
        source = self.of(node.inputs[0])
        parameters = [name for name in node.inputs[1:] if name]
        if source is None or any(name not in self._graph.constants for name in parameters):
            return None
        values = {name: self._graph.constants[name] for name in parameters}
        if node.kind == "Pad":
            moved = _padded(node, source.index, list(values.values()))
        else:
            moved = run_node(self._graph, node, {**values, node.inputs[0]: source.index})[value]
        if moved is None:
            return None
        shown = moved[moved != PADDING]
        return View(source.base, moved) if np.unique(shown).size == shown.size else None

    def lanes_can(self, node: Node, view: View) -> bool:
        """Return whether a layer may read the whole map behind a view as one window."""
        base = map_type(self._graph, view.base)
        weight = self._graph.constant(node.operand(1))
        if base is None or weight is None or base.size[0] == 1:
            return True
        return terms_needed(weight, self._config) == 1

    def as_map(self, value: str) -> tuple[str, tuple[int, ...]] | None:
        """Return (base, channels) where a value is some channels of a map as they lie there."""
        view = self.of(value)
        kind = map_type(self._graph, value)
        if view is None or kind is None:
            return None
        base = map_type(self._graph, view.base)
        if base is None or kind.size != base.size:
            return None
        positions = int(np.prod(base.size))
        index = view.index.reshape(kind.channels, positions)
        if (index == PADDING).any():
            return None
        channels = index[:, 0] // positions
        if not np.array_equal(index, channels[:, None] * positions + np.arange(positions)):
            return None
        return view.base, tuple(channels.tolist())

    def as_copy(self, value: str) -> Copied | None:
        """Return what a layer copies where a value is a map with steps, crops and padding."""
        view, kind = self.of(value), map_type(self._graph, value)
        base = map_type(self._graph, view.base) if view is not None else None
        if view is None or kind is None or base is None:
            return None
        index = view.index.reshape(kind.shape)
        shown = np.argwhere(index != PADDING)
        if len(shown) == 0:
            return None
        first, last = shown[0], shown[-1]
        strides, begins = [], []
        low, high = (
            np.array(np.unravel_index(index[tuple(at)], base.shape)) for at in (first, last)
        )
        for axis in (1, 2, 3):
            steps = int(last[axis] - first[axis])
            stride = int(high[axis] - low[axis]) // steps if steps else 1
            strides.append(stride)
            begins.append(int(low[axis] - first[axis] * stride))
        channels = np.full(kind.channels, PADDING)
        channels[shown[:, 0]] = index[tuple(shown.T)] // int(np.prod(base.size))
        copied = Copied(
            base=view.base, channels=tuple(channels.tolist()),
            strides=(strides[0], strides[1], strides[2]), begins=(begins[0], begins[1], begins[2]),
        )  # fmt: skip
        fits = min(strides) >= 1 and np.array_equal(_index_of(copied, base, kind), index)
        return copied if fits else None


def _padded(
    node: Node, index: NDArray[np.int64], parameters: list[np.ndarray]
) -> NDArray[np.int64] | None:
    """Return the index of a padded value, None where it pads with anything but the zero point."""
    if node.attr("mode", "constant") != "constant" or len(node.inputs) > 3:
        return None
    amounts = parameters[0].reshape(2, -1).T
    if len(amounts) != index.ndim or amounts.min() < 0:
        return None
    return np.pad(index, amounts, constant_values=PADDING)


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A value that a 1x1 layer makes of a map: every position a multiple of `strides` further on.

    Attributes:
        base: The map.
        channels: Of the map, for each channel of the value; `PADDING` for none.
        strides: Slices, rows, columns.
        begins: Position of the map that is shown first; may lie outside.
    """

    base: str
    channels: tuple[int, ...]
    strides: Axes
    begins: Axes


def _index_of(copied: Copied, base: MapType, kind: MapType) -> NDArray[np.int64]:
    """Return the index of the view that a copy makes."""
    inside = np.array(copied.channels)[:, None, None, None] != PADDING
    place = np.array(copied.channels)[:, None, None, None]
    for axis in range(3):
        at = np.arange(kind.size[axis]) * copied.strides[axis] + copied.begins[axis]
        shape = [1, 1, 1, 1]
        shape[axis + 1] = -1
        inside = inside & ((at >= 0) & (at < base.size[axis])).reshape(shape)
        place = place * base.size[axis] + at.reshape(shape)
    return np.where(inside, place, PADDING)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where the nodes of a graph run.

    Attributes:
        segment: Number of each needed node's segment, by the node's name; odd ones on the array.
        reads: What each of them reads from other nodes: views are replaced by their bases.
        refused: Why a node that the array might compute is on the host.
        views: Of values that the array rearranges by reading them elsewhere.
    """

    segment: Mapping[str, int]
    reads: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]
    views: Views


def split_graph(graph: Graph, config: OverlayConfig) -> Parts:
    """Return where every node that the outputs need runs."""
    refusals = {node.name: array_refusal(graph, node, config) for node in graph.nodes}
    on_array = {name for name, why in refusals.items() if why == ""}
    views = Views(graph, frozenset(on_array), config)
    if gone := _moves_of_the_host(graph, on_array, views):
        on_array -= gone
        views = Views(graph, frozenset(on_array), config)
    reads = {
        node.name: _read_by(graph, node, views, array=node.name in on_array) for node in graph.nodes
    }
    levels: dict[str, int] = {}
    for node in graph.nodes:
        before = max((levels[r] for r in reads[node.name] if r in levels), default=0)
        odd = node.name in on_array
        level = before if before % 2 == odd else before + 1
        levels.update({name: level for name in node.outputs if name})
    needed: set[str] = set()
    wanted = set(graph.outputs)
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            needed.add(node.name)
            wanted.update(reads[node.name])
    return Parts(
        segment={n.name: levels[next(filter(None, n.outputs))] for n in graph.nodes
                 if n.name in needed},
        reads=reads,
        refused={name: why for name, why in refusals.items() if why},
        views=views,
    )  # fmt: skip


def _moves_of_the_host(graph: Graph, on_array: set[str], views: Views) -> set[str]:
    """Return the joins and poolings of maps that the host has anyway: it does them too."""
    gone: set[str] = set()
    for node in graph.nodes:
        if node.name in on_array and node.kind in ("Concat", "MaxPool"):
            bases = [views.of(name) for name in node.inputs]
            made = {graph.producers[view.base].name for view in bases if view is not None}
            if not made - gone:
                gone.add(node.name)
    return gone


def _read_by(graph: Graph, node: Node, views: Views, *, array: bool) -> tuple[str, ...]:
    names = [name for name in node.inputs if name and name not in graph.constants]
    if not array:
        return tuple(names)
    return tuple(base_of(graph, node, name, views) for name in names)


def base_of(graph: Graph, node: Node, value: str, views: Views) -> str:
    """Return the map that a node on the array reads a value from: the value itself, or its base."""
    view = views.of(value)
    if view is None:
        return value
    if not views.lanes_can(node, view):
        return value
    full = node.op == "Conv" and len(graph.shape(value)) == 2 and not node.domain == ""
    if full or views.as_map(value) is not None or views.as_copy(value) is not None:
        return view.base
    return value
