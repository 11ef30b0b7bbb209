"""Loads and stores of a segment, in the order in which they are asked for."""

from __future__ import annotations

from tf2.compiler.ddr_map import DdrMap
from tf2.compiler.hazards import Draft
from tf2.compiler.ops import Conv
from tf2.compiler.plan import Plan
from tf2.compiler.stripe_grid import planes_of, slot_of
from tf2.compiler.stripes import Span, Stripe, axis_of
from tf2.isa import Load, Store


class Transfers:
    """Appends loads and stores to the instructions of a segment.

    Args:
        plan: Of the segment.
        ddr: Where its maps lie in DDR.
        drafts: Gets the instructions.
    """

    def __init__(self, plan: Plan, ddr: DdrMap, drafts: list[Draft]) -> None:
        self._plan, self._ddr, self._drafts = plan, ddr, drafts
        self._grown: dict[str, int] = {}

    def load_whole(self, name: str) -> None:
        """Load a storage that the host writes, as a whole; nothing if it is none, or grows."""
        plan = self._plan
        if name not in plan.graph.inputs or name in plan.growing | plan.spilled | plan.ported:
            return
        rows = plan.whole_rows(plan.storages[name])
        self._load(name, self._ddr.input(name), plan.rows[name], rows)

    def load_stripe(self, conv: Conv, number: int, stripe: Stripe) -> None:
        """Load what a stripe reads of maps that are streamed."""
        plan, ddr = self._plan, self._ddr
        operands = [(conv.source, "source", stripe.source)]
        if conv.add is not None:
            operands.append((conv.add.operand, "added", stripe.added))
        for value, role, span in operands:
            if not plan.streamed(value):
                continue
            storage = plan.storage(value)
            words = plan.words(storage)
            rows = plan.stripe_rows(storage, words, span[1] - span[0])
            at, _ = slot_of(plan, conv, role, number)
            if role == "source" and stripe.apart and storage.name not in plan.ported:
                one = rows // len(stripe.apart)
                for i, z in enumerate(stripe.apart):
                    address = ddr.after(ddr.spilled(storage.name), z * one)
                    self._load(f"{value}({z})", address, at + i * one, one)
                continue
            if storage.name in plan.ported:
                address = ddr.input(storage.name, number)
            else:
                before = plan.stripe_rows(storage, words, span[0])
                address = ddr.after(ddr.spilled(storage.name), before)
            self._load(f"{value}[{number}]", address, at, rows)

    def grow(self, value: str, end: int) -> None:
        """Load the rows of each word's plane that are missing up to a row of the map."""
        plan = self._plan
        storage = plan.storage(value)
        plane = plan.plane_rows(storage, storage.size[1])
        begin, stop = self._grown.get(value, 0), plan.rows_of_plane(storage, (0, end))[1]
        self._grown[value] = stop
        words = plan.words(storage)
        if stop - begin == plane:
            words, begin, stop = 1, 0, words * plane
        for word in range(words if stop > begin else 0):
            row = word * plane + begin
            address = self._ddr.after(self._ddr.input(storage.name), row)
            name = f"{value}[{begin}:{stop}, {word}]"
            self._load(name, address, plan.rows[storage.name] + row, stop - begin)

    def store_whole(self, name: str) -> None:
        """Store an output that is on chip as a whole."""
        rows = self._plan.whole_rows(self._plan.storages[name])
        self._store(name, self._ddr.output(name), self._plan.rows[name], rows)

    def store_rows(self, name: str, storage: str, first: int, last: int) -> None:
        """Store some rows, counted from its first one, of an output that is on chip as a whole."""
        address = self._ddr.after(self._ddr.output(storage), first)
        self._store(name, address, self._plan.rows[storage] + first, last - first)

    def store_finished(self, value: str, span: Span) -> None:
        """Store the rows of each word's plane that a stripe has completed of an output."""
        plan = self._plan
        storage = plan.storage(value)
        base, ended = plan.rows[storage.name], span[1] == storage.size[1]
        # What the next stripe goes on to write leaves with that.
        shared = not ended and span[1] * plan.pitch[storage.name] % plan.config.pixels > 0
        for begin, end in planes_of(plan, value, span):
            if end - shared > begin:
                self.store_rows(f"{value}{span}", storage.name, begin - base, end - shared - base)

    def store_stripe(self, conv: Conv, number: int, span: Span) -> None:
        """Store a stripe: in one go, or row by row where other layers write the same map."""
        plan = self._plan
        storage = plan.storage(conv.target)
        base, slot = slot_of(plan, conv, "target", number)
        size = storage.size[axis_of(storage.size)]
        bytes_each = 4 if storage.sums else 1
        whole = plan.stripe_rows(storage, plan.words(storage), size)
        for k in range(bytes_each):
            address = self._ddr.after(self._ddr.spilled(storage.name), k * whole)
            self._store_plane(conv, span, address, base + k * (slot // bytes_each))

    def _store_plane(self, conv: Conv, span: Span, address: int, base: int) -> None:
        plan, ddr = self._plan, self._ddr
        storage = plan.storage(conv.target)
        own, words = plan.target_words(conv), plan.words(storage)
        if own == words:
            rows = plan.stripe_rows(storage, words, span[1] - span[0])
            before = plan.stripe_rows(storage, words, span[0])
            self._store(f"{conv.target}{span}", ddr.after(address, before), base, rows)
            return
        one = plan.stripe_rows(storage, own, 1)
        offset = plan.places[conv.target].slots[0] // plan.config.inputs * (one // own)
        for i in range(span[0], span[1]):
            before = plan.stripe_rows(storage, words, i) + offset
            at = base + (i - span[0]) * one
            self._store(f"{conv.target}({i})", ddr.after(address, before), at, one)

    def _load(self, name: str, address: int, row: int, rows: int) -> None:
        load = Load(name=name, address=address, base_row=row, rows=rows)
        ddr = (address, self._ddr.after(address, rows))
        self._drafts.append(Draft(instruction=load, writes=((row, row + rows),), ddr=ddr))

    def _store(self, name: str, address: int, row: int, rows: int) -> None:
        store = Store(name=name, address=address, base_row=row, rows=rows)
        ddr = (address, self._ddr.after(address, rows))
        self._drafts.append(Draft(instruction=store, reads=((row, row + rows),), ddr=ddr))
