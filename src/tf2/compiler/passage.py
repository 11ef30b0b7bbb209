"""Maps that are on chip a stripe at a time: the layers that write and read them take turns.

A map too large for the Feature Buffer, read by one layer, need not go to DDR: its writers make a
stripe of it, its reader takes that at once, and the next stripe takes its place. What its writers
read, and what its reader writes, lies on chip as a whole meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tf2.compiler.ops import ArrayGraph, Conv, SumPart
from tf2.compiler.slots import Place, Storage
from tf2.compiler.stripes import Stripe, cut, even_spans, extent


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One such map.

    Attributes:
        storage: Of the map.
        writers: Layers that write it, in their order.
        reader: The layer behind them, that reads it.
    """

    storage: str
    writers: tuple[Conv, ...]
    reader: Conv

    @property
    def convs(self) -> tuple[Conv, ...]:
        """All that take turns, in their order."""
        return (*self.writers, self.reader)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that take turns."""
        return tuple(conv.name for conv in self.convs)


def find_passage(
    graph: ArrayGraph, places: Mapping[str, Place], storage: Storage
) -> Passage | None:
    """Return the passage that a storage can be, None where it can be none."""
    name = storage.name
    writers = [conv for conv in graph.convs if places[conv.target].storage == name]
    readers = [c for c in graph.convs if any(places[v].storage == name for v in c.reads)]
    given = any(places[value].storage == name for value in (*graph.inputs, *graph.outputs))
    if len(readers) != 1 or not writers or given or storage.sums or storage.size[0] > 1:
        return None
    passage = Passage(storage=name, writers=tuple(writers), reader=readers[0])
    convs, order = passage.convs, [conv.name for conv in graph.convs]
    first = order.index(writers[0].name)
    if tuple(order[first : first + len(convs)]) != passage.names:
        return None
    if any(conv.add is not None or isinstance(conv.pool, SumPart) for conv in convs):
        return None
    if any(places[value].storage == name for conv in writers for value in conv.reads):
        return None
    return passage


def passage_stripes(
    passage: Passage, sizes: Mapping[str, tuple[int, int, int]], count: int
) -> dict[str, tuple[Stripe, ...]]:
    """Return the stripes of each layer, as many of each; rows that stripes share are made twice.

    Args:
        passage: Of the layers.
        sizes: Of their inputs, by layer.
        count: Stripes, at most.
    """
    reader = passage.reader
    own = cut(reader, sizes[reader.name], even_spans(extent(reader), count, 1))
    spans = [stripe.source for stripe in own]
    return {reader.name: own} | {
        conv.name: cut(conv, sizes[conv.name], spans) for conv in passage.writers
    }
