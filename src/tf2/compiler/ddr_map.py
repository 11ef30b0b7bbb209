"""Where maps lie in DDR, and the ports through which the host writes and reads them."""

from __future__ import annotations

from tf2.compiler.plan import Plan
from tf2.compiler.slots import Storage
from tf2.compiler.stripes import Stripe, axis_of
from tf2.isa import Layout
from tf2.isa.program import InputPort, OutputPort, TapPacking


class DdrMap:
    """Addresses of all maps of a segment that lie in DDR; the first is 0.

    Attributes:
        inputs: Ports.
        outputs: Ports.
        size: Bytes of DDR for maps.
        due: Storages to store after each layer, by the layer's number.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config
        self.inputs: list[InputPort] = []
        self.outputs: list[OutputPort] = []
        self.size = 0
        self._spilled: dict[str, int] = {}
        self._ports: dict[tuple[str, int], int] = {}
        for name in sorted(plan.spilled):
            storage = plan.storages[name]
            rows = plan.stripe_rows(
                storage, plan.words(storage), storage.size[axis_of(storage.size)]
            )
            self._spilled[name] = self._allocate(rows * (4 if storage.sums else 1))
        for name in plan.graph.inputs:
            self._add_input(name)
        self.due = self._add_outputs()

    def after(self, address: int, rows: int) -> int:
        """Return the address so many rows behind another."""
        return address + rows * self._config.row_beats * self._config.ddr_bytes

    def spilled(self, storage: str) -> int:
        """Return the address of a storage that does not fit on chip."""
        return self._spilled[storage]

    def input(self, storage: str, stripe: int = 0) -> int:
        """Return the address of an input; of one in stripes, that of a stripe."""
        return self._ports[storage, stripe]

    def output(self, storage: str) -> int:
        """Return the address of an output that is on chip as a whole."""
        return self._ports[storage, -1]

    def _allocate(self, rows: int) -> int:
        address = self.size
        self.size = self.after(address, rows)
        return address

    def _add_input(self, value: str) -> None:
        plan = self._plan
        storage = plan.storage(value)
        if value in plan.ported:
            conv = next(conv for conv in plan.graph.convs if conv.source == value)
            for number, stripe in enumerate(plan.stripes[conv.name]):
                self._add_stripe(value, storage, number, stripe)
            return
        if storage.name in plan.spilled:
            self._add_whole(value, self._streamed_layout(value), self._spilled[storage.name])
            return
        layout = self._layout(value, storage.size[0], storage.size[1])
        address = self._allocate(layout.rows(self._config))
        self._ports[storage.name, 0] = address
        self._add_whole(value, layout, address)

    def _add_whole(self, value: str, layout: Layout, address: int) -> None:
        packed = self._plan.packed.get(value)
        kind = packed.kind if packed else self._plan.graph.maps[value]
        packing = None
        if packed is not None:
            packing = TapPacking(
                kernel=packed.kernel, strides=packed.strides, pads=packed.pads,
                dilations=packed.dilations, size=self._plan.graph.maps[value].size,
            )  # fmt: skip
        shape = kind.shape
        if packing is None and layout.depth != kind.size[0]:
            shape = (kind.channels, kind.size[1], 1, kind.size[2])
        self.inputs.append(
            InputPort(
                name=packed.value if packed else value, shape=shape, zero_point=kind.zero_point,
                layout=layout, address=address, packing=packing,
            )
        )  # fmt: skip

    def _add_stripe(self, value: str, storage: Storage, number: int, stripe: Stripe) -> None:
        axis, span = axis_of(storage.size), stripe.source
        packed = self._plan.packed.get(value)
        kind = packed.kind if packed else self._plan.graph.maps[value]
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
        address = self._allocate(layout.rows(self._config))
        self._ports[storage.name, number] = address
        packing = TapPacking(
            kernel=kernel, strides=strides, pads=(pads[0], pads[1], pads[2]),
            dilations=dilations, size=(size[0], size[1], size[2]),
        )  # fmt: skip
        self.inputs.append(
            InputPort(
                name=packed.value if packed else value, shape=kind.shape,
                zero_point=kind.zero_point, layout=layout, address=address, packing=packing,
            )
        )  # fmt: skip

    def _layout(self, value: str, depth: int, height: int) -> Layout:
        storage = self._plan.storage(value)
        return Layout(
            depth=depth, height=height, width=storage.size[2],
            pitch=self._plan.pitch[storage.name], slots=self._plan.places[value].slots,
            words=self._plan.words(storage),
        )  # fmt: skip

    def _streamed_layout(self, value: str) -> Layout:
        storage = self._plan.storage(value)
        if axis_of(storage.size) == 0:
            return self._layout(value, storage.size[0], storage.size[1])
        return self._layout(value, storage.size[1], 1)

    def _add_outputs(self) -> dict[int, list[str]]:
        """Make the ports of all outputs; return the storages to store after each layer."""
        plan = self._plan
        last: dict[str, int] = {}
        for number, conv in enumerate(plan.graph.convs):
            last[plan.places[conv.target].storage] = number
        due: dict[int, list[str]] = {}
        for value in plan.graph.outputs:
            storage = plan.storage(value)
            kind = plan.graph.maps[value]
            shape = kind.shape
            if storage.name in plan.spilled:
                layout, address = self._streamed_layout(value), self._spilled[storage.name]
                if axis_of(storage.size) == 1:
                    shape = (kind.channels, kind.size[1], 1, kind.size[2])
            else:
                layout = self._layout(value, storage.size[0], storage.size[1])
                key = (storage.name, -1)
                if key not in self._ports:
                    self._ports[key] = self._allocate(plan.whole_rows(storage))
                    due.setdefault(last[storage.name], []).append(storage.name)
                address = self._ports[key]
            self.outputs.append(
                OutputPort(name=value, shape=shape, layout=layout, address=address, sums=kind.sums)
            )
        return due
