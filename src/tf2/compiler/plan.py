"""What lies on chip, what streams through, in how many stripes: the plan of one segment.

Maps stay on chip from their first writer to their last reader. Where that does not fit, the
largest maps at the tightest layer go to DDR: they are then laid out row by row of the map (of
volumes, slice by slice), so that a stripe is one stretch, written and read in one go; or they are
passages (`compiler.passage`) and never exist as a whole. `compiler.fit` finds a plan that fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tf2.arch import OverlayConfig
from tf2.compiler.facts import Facts
from tf2.compiler.memory import Need
from tf2.compiler.ops import ArrayGraph, Conv
from tf2.compiler.pack_first import PackedInput
from tf2.compiler.passage import Passage
from tf2.compiler.slots import Place, Storage
from tf2.compiler.stripes import Span, Stripe, axis_of


@dataclass(kw_only=True)
class Plan:
    """The plan of one segment.

    Attributes:
        graph: With copies, in the order in which layers run.
        packed: Inputs whose taps the host packs.
        config: The overlay.
        places: Of maps.
        storages: By name.
        facts: Of layers.
        pitch: Of storages.
        ported: Inputs that the host lays down stripe by stripe; one layer reads each.
        growing: Inputs that lie on chip as a whole, loaded a few rows at a time before each stripe
            of the layer that reads them.
        spilled: Storages in DDR.
        passages: Of storages that are on chip a stripe at a time, by name.
        stripes: Of layers.
        slots: Stripes of a streamed map that are on chip at once, by layer.
        rows: First row of each stretch of the Feature Buffer, by name.
    """

    graph: ArrayGraph
    packed: Mapping[str, PackedInput]
    config: OverlayConfig
    places: Mapping[str, Place]
    storages: Mapping[str, Storage]
    facts: Mapping[str, Facts]
    pitch: dict[str, int] = field(default_factory=dict)
    ported: frozenset[str] = frozenset()
    growing: frozenset[str] = frozenset()
    spilled: set[str] = field(default_factory=set)
    passages: dict[str, Passage] = field(default_factory=dict)
    stripes: dict[str, tuple[Stripe, ...]] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def storage(self, value: str) -> Storage:
        """Return where a map lies."""
        return self.storages[self.places[value].storage]

    def words(self, storage: Storage) -> int:
        """Return the channel words of a storage."""
        return -(-storage.slots // self.config.inputs)

    def streamed(self, value: str) -> bool:
        """Return whether a map goes through the Feature Buffer stripe by stripe."""
        name = self.places[value].storage
        return name in self.spilled or name in self.ported

    def streams(self, conv: Conv) -> bool:
        """Return whether a layer reads or writes a map that is streamed."""
        return any(self.streamed(value) for value in (*conv.reads, conv.target))

    def busy(self, conv: Conv) -> bool:
        """Return whether a layer reads or writes what is not on chip as a whole."""
        return self.streams(conv) or self.passage(conv) is not None

    def spills(self, value: str) -> bool:
        """Return whether a map lies in DDR."""
        return self.places[value].storage in self.spilled

    def passes(self, value: str) -> bool:
        """Return whether a map is on chip a stripe at a time, and never elsewhere."""
        return self.places[value].storage in self.passages

    def passage(self, conv: Conv) -> Passage | None:
        """Return the passage in which a layer takes turns."""
        return next((p for p in self.passages.values() if conv.name in p.names), None)

    def passage_rows(self, passage: Passage) -> int:
        """Return the rows of the longest stripe of a passage."""
        spans = [stripe.source for stripe in self.stripes[passage.reader.name]]
        storage = self.storages[passage.storage]
        return self.words(storage) * self.plane_rows(storage, max(e - b for b, e in spans))

    def plane_rows(self, storage: Storage, height: int) -> int:
        """Return the rows of a plane with that many rows of the map."""
        return -(-height * self.pitch[storage.name] // self.config.pixels)

    def whole_rows(self, storage: Storage) -> int:
        """Return the rows of a storage that lies on chip as a whole."""
        rows = self.words(storage) * self.plane_rows(storage, storage.size[1])
        return storage.size[0] * rows * (4 if storage.sums else 1)

    def rows_of_plane(self, storage: Storage, span: Span) -> tuple[int, int]:
        """Return the rows of a plane in which rows of the map lie, and the one after the last."""
        pitch, p = self.pitch[storage.name], self.config.pixels
        return span[0] * pitch // p, -(-span[1] * pitch // p)

    def stripe_rows(self, storage: Storage, words: int, count: int) -> int:
        """Return the rows of that many rows, or slices, of a map with that many words."""
        if axis_of(storage.size) == 0:
            return count * words * self.plane_rows(storage, storage.size[1])
        return words * self.plane_rows(storage, count)

    def target_words(self, conv: Conv) -> int:
        """Return the words that a layer alone writes of a spilled storage."""
        return -(-len(self.places[conv.target].slots) // self.config.inputs)

    def needs(self) -> list[Need]:
        """Return what must lie in the Feature Buffer, and when."""
        index = {conv.name: i for i, conv in enumerate(self.graph.convs)}
        life: dict[str, list[int]] = {}
        turns = {
            conv.name: (index[passage.writers[0].name], index[passage.reader.name])
            for passage in self.passages.values() for conv in passage.convs
        }  # fmt: skip
        for conv in self.graph.convs:
            at = index[conv.name]
            for value in (*conv.reads, conv.target):
                if not self.streamed(value) and not self.passes(value):
                    name = self.places[value].storage
                    life.setdefault(name, []).extend(turns.get(conv.name, (at,)))
        needs = [
            Need(name=name, rows=self.whole_rows(self.storages[name]), first=min(at), last=max(at))
            for name, at in life.items()
        ]
        for passage in self.passages.values():
            first, last = turns[passage.reader.name]
            rows = self.passage_rows(passage)
            needs.append(Need(name=f"{passage.storage}/stripe", rows=rows, first=first, last=last))
        for conv in self.graph.convs:
            at = index[conv.name]
            for role, rows in self.slot_rows(conv).items():
                needs += [
                    Need(name=f"{conv.name}/{role}{slot}", rows=rows, first=at, last=at)
                    for slot in range(self.slots[conv.name])
                ]
        return needs

    def slot_rows(self, conv: Conv) -> dict[str, int]:
        """Return the rows of one slot of each streamed map of a layer, by role."""
        rows: dict[str, int] = {}
        stripes = self.stripes[conv.name]
        spans: dict[str, tuple[str, int, list[Span]]] = {}
        if self.streamed(conv.source):
            words = self.words(self.storage(conv.source))
            spans["source"] = (conv.source, words, [s.source for s in stripes])
        if conv.add is not None and self.streamed(conv.add.operand):
            words = self.words(self.storage(conv.add.operand))
            spans["added"] = (conv.add.operand, words, [s.added for s in stripes])
        if self.streamed(conv.target):
            spans["target"] = (conv.target, self.target_words(conv), [s.target for s in stripes])
        for role, (value, words, parts) in spans.items():
            longest = max(end - begin for begin, end in parts)
            storage = self.storage(value)
            rows[role] = self.stripe_rows(storage, words, longest) * (4 if storage.sums else 1)
        return rows
