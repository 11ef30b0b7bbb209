"""Sorts the beats of a program into instructions."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.signatures import TRANSFER, layer_layout
from tf2.isa.encoding import (
    END,
    LAYER,
    LOAD,
    STORE,
    TRANSFER_FIELDS,
    instruction_bytes,
    layer_fields,
)

BLOCKS = data.StructLayout({"length_last": 20, "out_groups_last": 12})
"""What the Filter Loader is told of a layer: filter words of a block less one, blocks less one."""


class Decoder(wiring.Component):
    """Take a program beat by beat; give transfers whole, layers as beats, and what they load.

    Latency 2 from the last beat of a transfer to it; initiation interval 1 beat a cycle and one
    cycle more an instruction; gives and respects back-pressure. Stops at `End` and at an unknown
    opcode.

    Members: beats In(stream(8 * ddr_bytes)); layer_beats Out(stream(8 * ddr_bytes)): all beats of
    each layer; blocks Out(stream(BLOCKS)), loads, stores Out(stream(TRANSFER)); layer_decoded,
    load_decoded, store_decoded Out: strobes; wants_beats Out: neither ended nor stopped; ended Out:
    `End` was decoded; bad_opcode Out: stays.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "beats": In(stream.Signature(8 * config.ddr_bytes)),
            "layer_beats": Out(stream.Signature(8 * config.ddr_bytes)),
            "blocks": Out(stream.Signature(BLOCKS)),
            "loads": Out(stream.Signature(TRANSFER)),
            "stores": Out(stream.Signature(TRANSFER)),
            "layer_decoded": Out(1),
            "load_decoded": Out(1),
            "store_decoded": Out(1),
            "wants_beats": Out(1),
            "ended": Out(1),
            "bad_opcode": Out(1),
        })  # fmt: skip

    def _beats_of(self, fields: Any) -> int:
        return instruction_bytes(fields, self._config) // self._config.ddr_bytes

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        transfer_last = self._beats_of(TRANSFER_FIELDS) - 1
        layer_last = self._beats_of(layer_fields(self._config)) - 1
        head = self._head(m, layer_last)

        index = Signal(range(max(layer_last, transfer_last) + 1))
        first_opcode, opcode, last = Signal(8), Signal(8), Signal()
        m.d.comb += opcode.eq(Mux(index == 0, self.beats.payload[:8], first_opcode))
        with m.FSM():
            with m.State("GATHER"):
                m.d.comb += self.wants_beats.eq(1)
                with m.Switch(opcode):
                    with m.Case(LOAD, STORE):
                        m.d.comb += [self.beats.ready.eq(1), last.eq(index == transfer_last)]
                    with m.Case(LAYER):
                        m.d.comb += [
                            self.layer_beats.valid.eq(self.beats.valid),
                            self.beats.ready.eq(self.layer_beats.ready),
                            last.eq(index == layer_last),
                        ]
                    with m.Case(END):
                        m.d.comb += self.beats.ready.eq(1)
                with m.If(self.beats.valid & self.beats.ready):
                    for k, beat in enumerate(head):
                        with m.If(index == k):
                            m.d.sync += beat.eq(self.beats.payload)
                    m.d.sync += [first_opcode.eq(opcode), index.eq(index + 1)]
                    with m.If(last):
                        m.d.sync += index.eq(0)
                        m.next = "PUSH"
                    with m.If(opcode == END):
                        m.next = "ENDED"
                with m.Elif(self.beats.valid & ~self._known(opcode)):
                    m.next = "BAD_OPCODE"
            with m.State("PUSH"):
                for kind, queue, decoded in (
                    (LOAD, self.loads, self.load_decoded),
                    (STORE, self.stores, self.store_decoded),
                    (LAYER, self.blocks, self.layer_decoded),
                ):
                    with m.If(first_opcode == kind):
                        m.d.comb += [queue.valid.eq(1), decoded.eq(queue.ready)]
                        with m.If(queue.ready):
                            m.next = "GATHER"
            with m.State("ENDED"):
                m.d.comb += self.ended.eq(1)
            with m.State("BAD_OPCODE"):
                m.d.comb += self.bad_opcode.eq(1)
        return m

    @staticmethod
    def _known(opcode: Signal) -> Any:
        return opcode.matches(LOAD, STORE, LAYER, END)

    def _head(self, m: Module, layer_last: int) -> Any:
        """Return registers for the first beats, those with what is needed of an instruction."""
        layout = layer_layout(self._config)
        groups, length = layout["out_groups_last"], layout["length"]
        bits = max(TRANSFER.size, groups.offset + groups.width, length.offset + length.width)
        width = len(self.beats.payload)
        head = Signal(data.ArrayLayout(width, -(-bits // width)), reset_less=True)
        flat = head.as_value()
        transfer = data.View(TRANSFER, flat[: TRANSFER.size])
        m.d.comb += [
            self.layer_beats.payload.eq(self.beats.payload),
            self.loads.payload.eq(transfer),
            self.stores.payload.eq(transfer),
            self.blocks.payload.length_last.eq(
                flat[length.offset : length.offset + length.width] - 1
            ),
            self.blocks.payload.out_groups_last.eq(
                flat[groups.offset : groups.offset + groups.width]
            ),
        ]
        return [head[k] for k in range(head.shape().length)]
