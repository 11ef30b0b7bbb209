"""A stretch of the arena as bursts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS, BURST_BEATS

STRETCH = data.StructLayout({"address": ADDRESS_BITS, "beats": ADDRESS_BITS})
"""Beats that follow each other in the arena, from a byte offset, a multiple of the beat, on."""

BURST = data.StructLayout({"address": ADDRESS_BITS, "beats_last": 8})
"""As the requests of `signatures.DdrRead` and `DdrWrite`."""


class BurstGenerator(wiring.Component):
    """Cut stretches into bursts of up to 16 beats that end at multiples of 16 beats.

    Latency 1; initiation interval 1 burst a cycle and one more cycle a stretch; gives and respects
    back-pressure. A stretch of no beats gives no burst. `stretch.ready` says that every burst of
    the stretch before was taken.

    Members: stretch In(stream(STRETCH)); bursts Out(stream(BURST)).
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._offset_bits = (config.ddr_bytes - 1).bit_length()
        super().__init__({
            "stretch": In(stream.Signature(STRETCH)),
            "bursts": Out(stream.Signature(BURST)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        in_block_bits = (BURST_BEATS - 1).bit_length()
        in_block = Signal(in_block_bits, reset_less=True)  # beats into a block of 16
        block = Signal(ADDRESS_BITS - self._offset_bits - in_block_bits, reset_less=True)
        # The burst is known a cycle ahead: whoever takes it needs its size at once.
        left = Signal(ADDRESS_BITS, reset_less=True)  # this burst included
        size = Signal(range(BURST_BEATS + 1), reset_less=True)
        valid, last = Signal(), Signal(reset_less=True)
        behind = Signal.like(left)
        m.d.comb += [
            behind.eq(left - size),
            self.stretch.ready.eq(~valid),
            self.bursts.valid.eq(valid),
            self.bursts.payload.address.eq(Cat(Const(0, self._offset_bits), in_block, block)),
            self.bursts.payload.beats_last.eq(size - 1),
        ]
        with m.If(self.bursts.valid & self.bursts.ready):
            m.d.sync += [left.eq(behind), in_block.eq(0), block.eq(block + 1), valid.eq(~last)]
            self._size(m, size, last, behind, BURST_BEATS)
        with m.If(self.stretch.valid & self.stretch.ready):
            address = self.stretch.payload.address[self._offset_bits :]
            begin, beats = address[:in_block_bits], self.stretch.payload.beats
            m.d.sync += [
                left.eq(beats), in_block.eq(begin), block.eq(address[in_block_bits:]),
                valid.eq(beats.any()),
            ]  # fmt: skip
            self._size(m, size, last, beats, BURST_BEATS - begin)
        return m

    @staticmethod
    def _size(m: Module, size: Signal, last: Signal, left: Value, to_border: ValueLike) -> None:
        """Choose the next burst: all that is left, or as far as the next border."""
        bits = len(size)
        ends = ~left[bits:].any() & (left[:bits] <= to_border)
        m.d.sync += [last.eq(ends), size.eq(Mux(ends, left[:bits], to_border))]
