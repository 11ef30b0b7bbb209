"""The plan -> instructions in order, with the memory each touches.

A stripe's loads stand before the layer that runs beside them, so that they are decoded in time; its
stores behind the layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf2.compiler.ddr_map import DdrMap
from tf2.compiler.geometry import build_layer, reach
from tf2.compiler.hazards import Draft, Rows
from tf2.compiler.ops import Conv
from tf2.compiler.parts import output_parts
from tf2.compiler.passage import Passage
from tf2.compiler.plan import Plan
from tf2.compiler.stripe_grid import grid_of, grown_grid, planes_of
from tf2.compiler.stripes import Span, Stripe
from tf2.compiler.transfers import Transfers
from tf2.isa.program import InputPort, OutputPort


@dataclass(kw_only=True)
class Schedule:
    """Instructions without waits, and where the host finds maps; addresses from 0 on.

    Attributes:
        drafts: In order.
        inputs: Ports.
        outputs: Ports.
        data_bytes: Of DDR for maps.
        filters: For each layer instruction: (layer, slice taps, groups of outputs).
    """

    drafts: list[Draft]
    inputs: list[InputPort]
    outputs: list[OutputPort]
    data_bytes: int
    filters: list[tuple[Conv, tuple[int, int], Span]]


def schedule(plan: Plan) -> Schedule:
    """Return the instructions of a segment."""
    scheduler = _Scheduler(plan)
    scheduler.run()
    ddr = scheduler.ddr
    return Schedule(
        drafts=scheduler.drafts, inputs=ddr.inputs, outputs=ddr.outputs, data_bytes=ddr.size,
        filters=scheduler.filters,
    )  # fmt: skip


class _Scheduler:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ddr = DdrMap(plan)
        self.drafts: list[Draft] = []
        self.filters: list[tuple[Conv, tuple[int, int], Span]] = []
        self.transfers = Transfers(plan, self.ddr, self.drafts)

    def run(self) -> None:
        plan = self.plan
        loaded: set[str] = set()
        for number, conv in enumerate(plan.graph.convs):
            passage = plan.passage(conv)
            for value in (v for c in (passage.convs if passage else (conv,)) for v in c.reads):
                name = plan.places[value].storage
                if not plan.streamed(value) and name not in loaded:
                    loaded.add(name)
                    self.transfers.load_whole(name)
            due = self.ddr.due.get(number, [])
            if passage is None:
                due = self._run_layer(conv, due)
            elif conv is passage.writers[0]:
                self._take_turns(passage)
            for name in due:
                self.transfers.store_whole(name)

    def _run_layer(self, conv: Conv, due: list[str]) -> list[str]:
        """Run a layer, and store its result beside it if it can; return what is still due."""
        parts = output_parts(self.plan, conv) if due else []
        if len(parts) > 1:
            self._layer_in_parts(conv, parts)
            return []
        if due and self._may_leave(conv):
            self._leaving_layer(conv)
            return []
        self._layer(conv)
        return due

    def _layer(
        self, conv: Conv, part: Span | None = None, writes: tuple[Rows, ...] | None = None
    ) -> None:
        """Run a layer; of one stripe, perhaps only some groups of outputs, to these rows."""
        stripes = self.plan.stripes[conv.name]
        for number, stripe in enumerate(stripes):
            self._load_for(conv, number)
            self._stripe(conv, number, stripe, part, writes)

    def _load_for(self, conv: Conv, number: int) -> None:
        """Load what a stripe reads that is not there."""
        stripes = self.plan.stripes[conv.name]
        # One more stripe ahead: few transfers are held, and a layer behind them is decoded late.
        ahead = min(self.plan.slots[conv.name] - 1, 1)
        for coming in range(number + ahead if number else 0, number + ahead + 1):
            if coming < len(stripes):
                self.transfers.load_stripe(conv, coming, stripes[coming])
        if conv.source in self.plan.growing:
            self.transfers.grow(conv.source, stripes[number].source[1])

    def _may_leave(self, conv: Conv) -> bool:
        """Return whether the result of a layer in stripes can be stored behind each of them."""
        plan, storage = self.plan, self.plan.storage(conv.target)
        sole = sum(plan.places[c.target].storage == storage.name for c in plan.graph.convs) == 1
        read = any(
            plan.places[v].storage == storage.name for c in plan.graph.convs for v in c.reads
        )
        flat = storage.size[0] == 1 and not storage.sums
        return len(plan.stripes[conv.name]) > 1 and sole and flat and not read

    def _leaving_layer(self, conv: Conv) -> None:
        """Run a layer stripe by stripe, and store the rows that each completes."""
        stripes = self.plan.stripes[conv.name]
        for number, stripe in enumerate(stripes):
            self._load_for(conv, number)
            self._stripe(
                conv, number, stripe, None, planes_of(self.plan, conv.target, stripe.target)
            )
            # One stripe later: stores that wait for their layer would hold up loads behind them.
            for done in stripes[max(number - 1, 0) : number]:
                self.transfers.store_finished(conv.target, done.target)
        self.transfers.store_finished(conv.target, stripes[-1].target)

    def _take_turns(self, passage: Passage) -> None:
        """Run the layers of a passage, stripe by stripe."""
        stripes = self.plan.stripes
        for number in range(len(stripes[passage.reader.name])):
            for conv in passage.convs:
                self._stripe(conv, number, stripes[conv.name][number], None, None)

    def _layer_in_parts(self, conv: Conv, parts: list[Span]) -> None:
        """Run a layer group by group of outputs; store each part when it is written.

        All layers are decoded before the stores, of which few are held, so that filters come ahead.
        """
        plan = self.plan
        storage, groups = plan.storage(conv.target), plan.config.parts
        plane, words = plan.plane_rows(storage, storage.size[1]), plan.words(storage)
        base = plan.rows[storage.name]
        transfers = []
        for part in parts:
            begin, end = part[0] // groups * plane, -(-part[1] // groups) * plane
            stretches = [
                (octet * words * plane + begin, octet * words * plane + end)
                for octet in range(4 if storage.sums else 1)
            ]
            rows = tuple((base + first, base + last) for first, last in stretches)
            self._layer(conv, part, rows)
            transfers += [(f"{conv.target}{part}", *stretch) for stretch in stretches]
        for name, first, last in transfers:
            self.transfers.store_rows(name, storage.name, first, last)

    def _stripe(
        self,
        conv: Conv,
        number: int,
        stripe: Stripe,
        part: Span | None,
        writes: tuple[Rows, ...] | None,
    ) -> None:
        plan = self.plan
        facts = plan.facts[conv.name]
        source, read = grid_of(plan, conv, conv.source, "source", number, stripe)
        target, write = grid_of(plan, conv, conv.target, "target", number, stripe)
        reads = [read]
        if conv.source in plan.growing:
            source, reads = grown_grid(plan, conv.source, source, stripe.source)
        added = None
        if conv.add is not None:
            added, also = grid_of(plan, conv, conv.add.operand, "added", number, stripe)
            reads.append(also)
        first, end = part or (0, facts.out_groups)
        alone = plan.spills(conv.target)
        for region in stripe.regions:
            layer = build_layer(
                conv, plan.config, region, source_size=facts.source.size,
                zero_point=facts.source.zero_point, cover=facts.cover, terms=facts.terms,
                source=source, target=target, first_part=0 if alone else facts.first_part + first,
                added=added, added_part=facts.added_part + first, out_groups=end - first,
            )  # fmt: skip
            layer = replace(layer, macs=layer.macs * (end - first) // facts.out_groups)
            taps = reach(conv, region, facts.source.size).taps
            self.filters.append((conv, taps, (first, end)))
            self.drafts.append(
                Draft(
                    instruction=layer, reads=tuple(reads), writes=writes or (write,),
                    layer=conv.name,
                )
            )  # fmt: skip
        if alone:
            self.transfers.store_stripe(conv, number, stripe.target)
