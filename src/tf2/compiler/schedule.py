"""The plan -> instructions in order, with the memory each touches.

A stripe's loads stand before the layer that runs beside them, so that they are decoded in time; its
stores right behind the layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tf2.compiler.geometry import Grid, build_layer, reach
from tf2.compiler.hazards import Draft, Rows
from tf2.compiler.ops import Conv
from tf2.compiler.parts import output_parts
from tf2.compiler.passage import Passage
from tf2.compiler.plan import Plan
from tf2.compiler.slots import Storage
from tf2.compiler.stripes import Span, Stripe, axis_of
from tf2.isa import Layout, Load, Store
from tf2.isa.program import InputPort, OutputPort, TapPacking


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

    drafts: list[Draft] = field(default_factory=list)
    inputs: list[InputPort] = field(default_factory=list)
    outputs: list[OutputPort] = field(default_factory=list)
    data_bytes: int = 0
    filters: list[tuple[Conv, tuple[int, int], Span]] = field(default_factory=list)


def schedule(plan: Plan) -> Schedule:
    """Return the instructions of a segment."""
    return _Scheduler(plan).run()


class _Scheduler:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.config = plan, plan.config
        self.out = Schedule()
        self.spilled: dict[str, int] = {}
        self.ports: dict[tuple[str, int], int] = {}
        self.grown: dict[str, int] = {}

    def run(self) -> Schedule:
        plan, convs = self.plan, self.plan.graph.convs
        for name in sorted(plan.spilled):
            storage = plan.storages[name]
            rows = plan.stripe_rows(
                storage, plan.words(storage), storage.size[axis_of(storage.size)]
            )
            self.spilled[name] = self._allocate(rows * (4 if storage.sums else 1))
        for name in plan.graph.inputs:
            self._input_ports(name)
        due = self._outputs_due()
        loaded: set[str] = set()
        for number, conv in enumerate(convs):
            passage = plan.passage(conv)
            for value in (v for c in (passage.convs if passage else (conv,)) for v in c.reads):
                name = plan.places[value].storage
                if not plan.streamed(value) and name not in loaded:
                    loaded.add(name)
                    self._load_whole(name)
            if passage is not None:
                if conv is passage.writers[0]:
                    self._take_turns(passage)
                for name in due.get(number, ()):
                    self._store_whole(name)
                continue
            parts = output_parts(plan, conv) if number in due else []
            if len(parts) > 1:
                self._layer_in_parts(conv, parts)
                continue
            leaves = number in due and self._may_leave(conv)
            self._layer(conv, leaves=leaves)
            for name in () if leaves else due.get(number, ()):
                self._store_whole(name)
        return self.out

    def _allocate(self, rows: int) -> int:
        address = self.out.data_bytes
        self.out.data_bytes += rows * self.config.row_beats * self.config.ddr_bytes
        return address

    def _row_address(self, address: int, row: int) -> int:
        return address + row * self.config.row_beats * self.config.ddr_bytes

    # Ports

    def _input_ports(self, value: str) -> None:
        plan = self.plan
        storage = plan.storage(value)
        if value in plan.ported:
            conv = next(conv for conv in plan.graph.convs if conv.source == value)
            for number, stripe in enumerate(plan.stripes[conv.name]):
                self._stripe_port(value, storage, number, stripe)
            return
        if storage.name in plan.spilled:
            self._whole_port(value, self._streamed_layout(value), self.spilled[storage.name])
            return
        layout = self._layout(value, storage.size[0], storage.size[1])
        address = self._allocate(layout.rows(self.config))
        self.ports[storage.name, 0] = address
        self._whole_port(value, layout, address)

    def _whole_port(self, value: str, layout: Layout, address: int) -> None:
        packed = self.plan.packed.get(value)
        kind = packed.kind if packed else self.plan.graph.maps[value]
        packing = None
        if packed is not None:
            packing = TapPacking(
                kernel=packed.kernel, strides=packed.strides, pads=packed.pads,
                dilations=packed.dilations, size=self.plan.graph.maps[value].size,
            )  # fmt: skip
        shape = kind.shape
        if packing is None and layout.depth != kind.size[0]:
            shape = (kind.channels, kind.size[1], 1, kind.size[2])
        self.out.inputs.append(
            InputPort(
                name=packed.value if packed else value, shape=shape, zero_point=kind.zero_point,
                layout=layout, address=address, packing=packing,
            )
        )  # fmt: skip

    def _stripe_port(self, value: str, storage: Storage, number: int, stripe: Stripe) -> None:
        axis, span = axis_of(storage.size), stripe.source
        packed = self.plan.packed.get(value)
        kind = packed.kind if packed else self.plan.graph.maps[value]
        one = (1, 1, 1)
        kernel, strides, dilations = (
            (packed.kernel, packed.strides, packed.dilations) if packed else (one, one, one)
        )
        pads = list(packed.pads if packed else (0, 0, 0))
        if stripe.apart:  # only where nothing is packed: that takes the dilation away
            step = stripe.apart[1] - stripe.apart[0]
            pads[0], strides = -stripe.apart[0], (step, 1, 1)
        else:
            pads[axis] -= span[0] * strides[axis]
        size = list(storage.size)
        size[axis] = span[1] - span[0]
        layout = self._layout(value, size[0], size[1])
        address = self._allocate(layout.rows(self.config))
        self.ports[storage.name, number] = address
        self.out.inputs.append(
            InputPort(
                name=packed.value if packed else value,
                shape=kind.shape,
                zero_point=kind.zero_point,
                layout=layout,
                address=address,
                packing=TapPacking(
                    kernel=kernel, strides=strides, pads=(pads[0], pads[1], pads[2]),
                    dilations=dilations, size=(size[0], size[1], size[2]),
                ),
            )
        )  # fmt: skip

    def _layout(self, value: str, depth: int, height: int) -> Layout:
        storage = self.plan.storage(value)
        return Layout(
            depth=depth, height=height, width=storage.size[2], pitch=self.plan.pitch[storage.name],
            slots=self.plan.places[value].slots, words=self.plan.words(storage),
        )  # fmt: skip

    def _streamed_layout(self, value: str) -> Layout:
        storage = self.plan.storage(value)
        if axis_of(storage.size) == 0:
            return self._layout(value, storage.size[0], storage.size[1])
        return self._layout(value, storage.size[1], 1)

    def _outputs_due(self) -> dict[int, list[str]]:
        """Return the storages to store after each layer, and make the ports of all outputs."""
        plan = self.plan
        last: dict[str, int] = {}
        for number, conv in enumerate(plan.graph.convs):
            last[plan.places[conv.target].storage] = number
        due: dict[int, list[str]] = {}
        for value in plan.graph.outputs:
            storage = plan.storage(value)
            kind = plan.graph.maps[value]
            shape = kind.shape
            if storage.name in plan.spilled:
                layout, address = self._streamed_layout(value), self.spilled[storage.name]
                if axis_of(storage.size) == 1:
                    shape = (kind.channels, kind.size[1], 1, kind.size[2])
            else:
                layout = self._layout(value, storage.size[0], storage.size[1])
                key = (storage.name, -1)
                if key not in self.ports:
                    self.ports[key] = self._allocate(plan.whole_rows(storage))
                    due.setdefault(last[storage.name], []).append(storage.name)
                address = self.ports[key]
            self.out.outputs.append(
                OutputPort(name=value, shape=shape, layout=layout, address=address, sums=kind.sums)
            )
        return due

    # Transfers

    def _load_whole(self, name: str) -> None:
        growing = name in self.plan.growing
        if (name, 0) not in self.ports or name not in self.plan.graph.inputs or growing:
            return
        rows = self.plan.whole_rows(self.plan.storages[name])
        self._load(name, self.ports[name, 0], self.plan.rows[name], rows)

    def _store_whole(self, name: str) -> None:
        rows = self.plan.whole_rows(self.plan.storages[name])
        self._store(name, self.ports[name, -1], self.plan.rows[name], rows)

    def _load(self, name: str, address: int, row: int, rows: int) -> None:
        end = self._row_address(address, rows)
        self.out.drafts.append(
            Draft(
                instruction=Load(name=name, address=address, base_row=row, rows=rows),
                writes=((row, row + rows),), ddr=(address, end),
            )
        )  # fmt: skip

    def _store(self, name: str, address: int, row: int, rows: int) -> None:
        end = self._row_address(address, rows)
        self.out.drafts.append(
            Draft(
                instruction=Store(name=name, address=address, base_row=row, rows=rows),
                reads=((row, row + rows),), ddr=(address, end),
            )
        )  # fmt: skip

    # Layers

    def _layer(
        self,
        conv: Conv,
        part: Span | None = None,
        writes: tuple[Rows, ...] | None = None,
        *,
        leaves: bool = False,
    ) -> None:
        """Run a layer; of one stripe, perhaps only some groups of outputs, to these rows.

        Where the result leaves, the rows that are complete are stored behind each stripe.
        """
        stripes = self.plan.stripes[conv.name]
        # One more stripe ahead: few transfers are held, and a layer behind them is decoded late.
        ahead = min(self.plan.slots[conv.name] - 1, 1)
        loaded = 0
        for number, stripe in enumerate(stripes):
            while loaded < min(number + ahead + 1, len(stripes)):
                self._load_stripe(conv, loaded, stripes[loaded])
                loaded += 1
            if conv.source in self.plan.growing:
                self._grow(conv.source, stripe.source[1])
            if leaves:
                writes = self._planes(conv.target, stripe.target)
            self._stripe(conv, number, stripe, part, writes)
            # One stripe later: stores that wait for their layer would hold up loads behind them.
            for done in stripes[max(number - 1, 0) : number] if leaves else ():
                self._leave(conv.target, done.target)
        if leaves:
            self._leave(conv.target, stripes[-1].target)

    def _may_leave(self, conv: Conv) -> bool:
        """Return whether the result of a layer in stripes can be stored behind each of them."""
        plan, storage = self.plan, self.plan.storage(conv.target)
        sole = sum(plan.places[c.target].storage == storage.name for c in plan.graph.convs) == 1
        read = any(
            plan.places[v].storage == storage.name for c in plan.graph.convs for v in c.reads
        )
        flat = storage.size[0] == 1 and not storage.sums
        return len(plan.stripes[conv.name]) > 1 and sole and flat and not read

    def _planes(self, value: str, span: Span) -> tuple[Rows, ...]:
        """Return the rows, of each word's plane, in which these rows of a map on chip lie."""
        plan = self.plan
        storage = plan.storage(value)
        plane, base = plan.plane_rows(storage, storage.size[1]), plan.rows[storage.name]
        begin, end = plan.rows_of_plane(storage, span)
        return tuple(
            (base + word * plane + begin, base + word * plane + end)
            for word in range(plan.words(storage))
        )

    def _leave(self, value: str, span: Span) -> None:
        """Store the rows of each word's plane that this stripe has completed."""
        plan = self.plan
        storage = plan.storage(value)
        base, ended = plan.rows[storage.name], span[1] == storage.size[1]
        for begin, end in self._planes(value, span):
            # What the next stripe goes on to write leaves with that.
            shared = not ended and span[1] * plan.pitch[storage.name] % plan.config.pixels > 0
            rows = end - shared - begin
            if rows > 0:
                address = self._row_address(self.ports[storage.name, -1], begin - base)
                self._store(f"{value}{span}", address, begin, rows)

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
            address = self._row_address(self.ports[storage.name, -1], first)
            self._store(name, address, base + first, last - first)

    def _grow(self, value: str, end: int) -> None:
        """Load the rows of each word's plane that are missing up to a row of the map."""
        plan = self.plan
        storage = plan.storage(value)
        plane = plan.plane_rows(storage, storage.size[1])
        begin, stop = self.grown.get(value, 0), plan.rows_of_plane(storage, (0, end))[1]
        self.grown[value] = stop
        words = plan.words(storage)
        if stop - begin == plane:
            words, begin, stop = 1, 0, words * plane
        for word in range(words if stop > begin else 0):
            row = word * plane + begin
            address = self._row_address(self.ports[storage.name, 0], row)
            name = f"{value}[{begin}:{stop}, {word}]"
            self._load(name, address, plan.rows[storage.name] + row, stop - begin)

    def _slot(self, conv: Conv, role: str, number: int) -> tuple[int, int]:
        """Return (first row, rows) of the slot that a stripe takes."""
        slot = number % self.plan.slots[conv.name]
        return self.plan.rows[f"{conv.name}/{role}{slot}"], self.plan.slot_rows(conv)[role]

    def _load_stripe(self, conv: Conv, number: int, stripe: Stripe) -> None:
        plan = self.plan
        operands = [(conv.source, "source", stripe.source)]
        if conv.add is not None:
            operands.append((conv.add.operand, "added", stripe.added))
        for value, role, span in operands:
            if not plan.streamed(value):
                continue
            storage = plan.storage(value)
            words = plan.words(storage)
            rows = plan.stripe_rows(storage, words, span[1] - span[0])
            at, _ = self._slot(conv, role, number)
            if role == "source" and stripe.apart and storage.name not in plan.ported:
                one = rows // len(stripe.apart)
                for i, z in enumerate(stripe.apart):
                    address = self._row_address(self.spilled[storage.name], z * one)
                    self._load(f"{value}({z})", address, at + i * one, one)
                continue
            if storage.name in plan.ported:
                address = self.ports[storage.name, number]
            else:
                before = plan.stripe_rows(storage, words, span[0])
                address = self._row_address(self.spilled[storage.name], before)
            self._load(f"{value}[{number}]", address, at, rows)

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
        source, read = self._grid(conv, conv.source, "source", number, stripe)
        target, write = self._grid(conv, conv.target, "target", number, stripe)
        reads = [read]
        if conv.source in plan.growing:
            source, reads = self._grown_grid(conv.source, source, stripe.source)
        added = None
        if conv.add is not None:
            added, also = self._grid(conv, conv.add.operand, "added", number, stripe)
            reads.append(also)
        first, end = part or (0, facts.out_groups)
        alone = plan.places[conv.target].storage in plan.spilled
        for region in stripe.regions:
            layer = build_layer(
                conv, self.config, region, source_size=facts.source.size,
                zero_point=facts.source.zero_point, cover=facts.cover, terms=facts.terms,
                source=source, target=target, first_part=0 if alone else facts.first_part + first,
                added=added, added_part=facts.added_part + first, out_groups=end - first,
            )  # fmt: skip
            layer = replace(layer, macs=layer.macs * (end - first) // facts.out_groups)
            taps = reach(conv, region, facts.source.size).taps
            self.out.filters.append((conv, taps, (first, end)))
            self.out.drafts.append(
                Draft(
                    instruction=layer, reads=tuple(reads), writes=writes or (write,),
                    layer=conv.name,
                )
            )  # fmt: skip
        if alone:
            self._store_stripe(conv, number, stripe.target)

    def _grid(
        self, conv: Conv, value: str, role: str, number: int, stripe: Stripe
    ) -> tuple[Grid, Rows]:
        """Return where a stripe of a map lies, and the rows it may touch."""
        plan = self.plan
        span = {"source": stripe.source, "target": stripe.target, "added": stripe.added}[role]
        storage = plan.storage(value)
        pitch, height = plan.pitch[storage.name], storage.size[1]
        if plan.passes(value):
            base, count = plan.rows[f"{storage.name}/stripe"], span[1] - span[0]
            plane = plan.plane_rows(storage, count)
            grid = Grid(base_row=base, plane_rows=plane, pitch=pitch, first=span[0], height=count)
            return grid, (base, base + plan.words(storage) * plane)
        if not plan.streamed(value):
            base = plan.rows[storage.name]
            plane = plan.plane_rows(storage, height)
            words = plan.words(storage)
            grid = Grid(
                base_row=base, plane_rows=plane, slice_rows=words * plane,
                byte_rows=storage.size[0] * words * plane, pitch=pitch, height=height,
            )  # fmt: skip
            return grid, (base, base + plan.whole_rows(storage))
        base, rows = self._slot(conv, role, number)
        words = plan.target_words(conv) if role == "target" else plan.words(storage)
        touched = (base, base + rows)
        byte = rows // 4 if storage.sums else 0
        if axis_of(storage.size) == 0:
            plane = plan.plane_rows(storage, height)
            first = base - span[0] * words * plane
            grid = Grid(
                base_row=first, plane_rows=plane, slice_rows=words * plane, byte_rows=byte,
                pitch=pitch, height=height, together=role == "source" and bool(stripe.apart),
            )  # fmt: skip
            return grid, touched
        count = span[1] - span[0]
        if storage.name in plan.ported:
            plane = plan.plane_rows(storage, count)
            grid = Grid(base_row=base, plane_rows=plane, pitch=pitch, first=span[0], height=count)
            return grid, touched
        grid = Grid(
            base_row=base, plane_rows=pitch // self.config.pixels, byte_rows=byte,
            pitch=words * pitch, first=span[0], height=count,
        )  # fmt: skip
        return grid, touched

    def _grown_grid(self, value: str, grid: Grid, span: Span) -> tuple[Grid, list[Rows]]:
        """Return where the rows of a growing map lie that are there, and those that are read."""
        storage = self.plan.storage(value)
        begin, end = self.plan.rows_of_plane(storage, span)
        planes = [grid.base_row + w * grid.plane_rows for w in range(self.plan.words(storage))]
        there = replace(grid, height=span[1])
        return there, [(plane + begin, plane + end) for plane in planes]

    def _store_stripe(self, conv: Conv, number: int, span: Span) -> None:
        """Store a stripe: in one go, or row by row where other layers write the same map."""
        plan = self.plan
        storage = plan.storage(conv.target)
        base, slot = self._slot(conv, "target", number)
        address = self.spilled[storage.name]
        size = storage.size[axis_of(storage.size)]
        bytes_each = 4 if storage.sums else 1
        for k in range(bytes_each):
            whole = plan.stripe_rows(storage, plan.words(storage), size)
            self._store_plane(
                conv, span, self._row_address(address, k * whole), base + k * (slot // bytes_each)
            )

    def _store_plane(self, conv: Conv, span: Span, address: int, base: int) -> None:
        plan = self.plan
        storage = plan.storage(conv.target)
        own, words = plan.target_words(conv), plan.words(storage)
        if own == words:
            rows = plan.stripe_rows(storage, words, span[1] - span[0])
            before = plan.stripe_rows(storage, words, span[0])
            self._store(f"{conv.target}{span}", self._row_address(address, before), base, rows)
            return
        one = plan.stripe_rows(storage, own, 1)
        offset = plan.places[conv.target].slots[0] // self.config.inputs * (one // own)
        for i in range(span[0], span[1]):
            before = plan.stripe_rows(storage, words, i) + offset
            self._store(
                f"{conv.target}({i})", self._row_address(address, before),
                base + (i - span[0]) * one, one,
            )  # fmt: skip
