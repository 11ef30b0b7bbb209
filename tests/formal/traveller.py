"""One entry, any, followed through a queue: the proof that none is lost, doubled or overtaken."""

from __future__ import annotations

from amaranth.hdl import Mux, Value, ValueLike
from proofs import Spec


class Traveller:
    """Follows any one entry of a `SyncFIFO` or `SyncFIFOBuffered` inside a unit.

    Which one is free. It keeps its place: as many entries before it as were there when it came,
    less those that left; and when none is before it, the next to leave is what came. With the
    assertions that queue and memory agree with it, so that it holds for ever and not for some
    cycles.

    Args:
        spec: Gets the assertions.
        path: Of the queue inside the unit.
        width, depth: Of the queue.
        buffered: Whether it is a `SyncFIFOBuffered`.
        entered, came: An entry is taken, and which.
        left, head: An entry leaves, and which.
        offered: `head` is valid.

    Attributes:
        here: Whether the entry is in the queue.
        before: How many entries are before it.
        entry: What it is.
        level: Entries in the queue.
    """

    def __init__(
        self,
        spec: Spec,
        path: str,
        *,
        width: int,
        depth: int,
        buffered: bool,
        entered: ValueLike,
        came: ValueLike,
        left: ValueLike,
        head: ValueLike,
        offered: ValueLike,
    ) -> None:
        m = spec.m
        self.level = level = spec.inner(f"{path}.level")
        self.here = spec.register(1, "traveller_here")
        self.before = spec.register(range(depth + 1), "traveller_before")
        self.entry = spec.register(width, "traveller_entry")
        follow = spec.choice(1, "follow")
        entered, left = spec.wire(entered, "entered"), spec.wire(left, "left")
        with m.If(~self.here & follow & entered):
            m.d.sync += [
                self.here.eq(1), self.entry.eq(Value.cast(came)), self.before.eq(level - left)
            ]  # fmt: skip
        with m.Elif(self.here & left):
            m.d.sync += [self.here.eq(self.before != 0), self.before.eq(self.before - 1)]

        at_head = self.here & (self.before == 0)
        spec.hold("what came leaves, in its turn", Value.cast(head) == self.entry,
                  when=at_head & Value.cast(offered))  # fmt: skip
        spec.hold("nothing is offered by an empty queue", level != 0, when=offered)
        count = spec.register(range(depth + 1), "traveller_count")
        m.d.sync += count.eq(count + entered - left)
        spec.hold("the queue holds what came and has not left", count == level)
        spec.hold("the entry is in the queue", self.before < level, when=self.here)

        ready = spec.inner(f"{path}.r_rdy") if buffered else 0
        stored = depth - 1 if buffered else depth
        consume = spec.inner(f"{path}.consume")
        place = spec.wire(consume + self.before - ready, "place")
        wrapped = spec.wire(Mux(place >= stored, place - stored, place), "wrapped")
        word = spec.content(f"{path}.storage", wrapped, width)
        in_memory = self.here & (self.before >= ready)
        spec.hold("the entry is in its place", word == self.entry, when=in_memory)
        if buffered:
            head_word = spec.inner(f"{path}.r_data")
            spec.hold("the entry is in the register", head_word == self.entry,
                      when=self.here & (self.before < ready))  # fmt: skip
