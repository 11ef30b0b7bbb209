"""Where each channel of a map lies among the channel words, and which maps share one stretch.

Maps that are joined lie in one storage, each part in words (or parts of words) of its own, so that
joining costs nothing. A map that cannot lie there because it has a place already is copied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf2.compiler.identity import identity
from tf2.compiler.ops import ArrayGraph, Axes, Conv, Joined, MapType


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A stretch of the Feature Buffer for maps of one size.

    Attributes:
        name: The map, or the outermost join, that it is for.
        size: Slices, rows, columns.
        slots: Bytes a position.
        sums: Four bytes each, in planes of their own.
    """

    name: str
    size: Axes
    slots: int
    sums: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a map lies: its storage, and the slot of each channel in it."""

    storage: str
    slots: tuple[int, ...]


def give_places(
    graph: ArrayGraph, alignment: int
) -> tuple[ArrayGraph, dict[str, Place], dict[str, Storage]]:
    """Return the graph with copies where needed, the place of every map, and the storages.

    Args:
        graph: Fused.
        alignment: Joined parts begin at multiples of this many channels.
    """
    graph, inside = _homes(graph, alignment)
    ends: dict[str, int] = {}
    places: dict[str, Place] = {}
    joins = {join.target: join for join in graph.joined}

    def root(value: str) -> tuple[str, int]:
        offset = 0
        while value in inside:
            value, at = inside[value]
            offset += at
        return value, offset

    written = [*graph.inputs, *(conv.target for conv in graph.convs)]
    for value in written:
        storage, offset = root(value)
        channels = graph.maps[value].channels
        places[value] = Place(storage=storage, slots=tuple(range(offset, offset + channels)))
        ends[storage] = max(ends.get(storage, 0), offset + channels)
    for target, join in joins.items():
        slots = tuple(s for part in join.parts for s in places[part].slots)
        places[target] = Place(storage=root(target)[0], slots=slots)
    for view in graph.chosen:
        base = places[view.source]
        places[view.target] = replace(base, slots=tuple(base.slots[c] for c in view.channels))
    storages = {
        name: Storage(name=name, size=graph.maps[name].size, slots=end, sums=graph.maps[name].sums)
        for name, end in ends.items()
    }
    return graph, places, storages


def _homes(graph: ArrayGraph, alignment: int) -> tuple[ArrayGraph, dict[str, tuple[str, int]]]:
    """Return the graph with copies, and for each part of a join where it lies in it."""
    maps: dict[str, MapType] = dict(graph.maps)
    convs, joined = _with_plain_operands(graph, maps, alignment), []
    views = {view.target for view in graph.chosen}
    inside: dict[str, tuple[str, int]] = {}
    widths: dict[str, int] = {}
    for join in graph.joined:
        parts, offset = [], 0
        for i, part in enumerate(join.parts):
            if part in inside or part in views or part in graph.inputs or part in parts:
                copy = f"{join.target}.{i}"
                maps[copy] = maps[part]
                source = graph.base(part)[0] if part in views else part
                place = _after(convs, joined, source)
                convs.insert(place, identity(copy, part, copy, maps[part]))
                part = copy
            parts.append(part)
            inside[part] = (join.target, offset)
            width = widths.get(part, maps[part].channels)
            offset += -(-width // alignment) * alignment
        widths[join.target] = offset
        joined.append(replace(join, parts=tuple(parts)))
    return replace(graph, convs=tuple(convs), maps=maps, joined=tuple(joined)), inside


def _after(convs: list[Conv], joined: list[Joined], value: str) -> int:
    """Return the place in the order where a value is complete."""
    joins = {join.target: join for join in joined}
    wanted = [value]
    place = 0
    while wanted:
        name = wanted.pop()
        if name in joins:
            wanted += joins[name].parts
        place = max([place, *(i + 1 for i, conv in enumerate(convs) if conv.target == name)])
    return place


def _with_plain_operands(graph: ArrayGraph, maps: dict[str, MapType], alignment: int) -> list[Conv]:
    """Return the layers where each added map has its channels one after the other, by copies."""
    scattered = {view.target for view in graph.chosen}
    for join in graph.joined:
        if any(p in scattered or maps[p].channels % alignment for p in join.parts):
            scattered.add(join.target)
    convs: list[Conv] = []
    for conv in graph.convs:
        if conv.add is not None and conv.add.operand in scattered:
            source = conv.add.operand
            copy = f"{conv.name}:{source}"
            maps[copy] = maps[source]
            convs.append(identity(copy, source, copy, maps[source]))
            conv = replace(conv, add=replace(conv.add, operand=copy))
        convs.append(conv)
    return convs
