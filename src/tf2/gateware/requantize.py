"""From an accumulator to a byte: multiplier, shift, zero point, range."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.round_clip import MAX_SHIFT, RANGE, RoundClip

MULTIPLIERS = {
    "multiplier": In(8),
    "shift": In(range(MAX_SHIFT + 1)),
    "negative_multiplier": In(signed(9)),
    "negative_shift": In(range(MAX_SHIFT + 1)),
}
"""Members that come with an accumulator; the second pair is taken where it is below zero."""


class Requantize(wiring.Component):
    """Give `numerics.fixed_point.rescale` of an accumulator, with a second pair below zero.

    Latency 6 cycles; initiation interval 1; nothing stalls.

    Members: acc In: signed(32); raw In: its low byte alone counts, as 0..255; `MULTIPLIERS` In;
    `RANGE` In; byte Out.
    """

    LATENCY = 3 + RoundClip.LATENCY

    def __init__(self) -> None:
        super().__init__({
            "acc": In(signed(32)), "raw": In(1), **MULTIPLIERS, **RANGE, "byte": Out(signed(8)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.round_clip = round_clip = RoundClip(41)
        negative = self.acc[-1]
        # cycle 0: which pair
        acc = Signal.like(self.acc, reset_less=True)
        multiplier = Signal(signed(9), reset_less=True)
        shift = Signal.like(self.shift, reset_less=True)
        m.d.sync += [
            acc.eq(self.acc),
            multiplier.eq(Mux(negative, self.negative_multiplier, self.multiplier)),
            shift.eq(Mux(negative, self.negative_shift, self.shift)),
        ]
        with m.If(self.raw):
            m.d.sync += acc[8:].eq(0)
        # cycle 1: two products, each within a DSP block of 18 bits; cycle 2: their sum
        half = 17
        low, high = (Signal(signed(bits), reset_less=True) for bits in (half + 9, 41 - half))
        product = Signal(signed(41), reset_less=True)
        shift_1, shift_2 = (Signal.like(self.shift, reset_less=True) for _ in range(2))
        m.d.sync += [
            low.eq(acc[:half] * multiplier),
            high.eq(acc[half:].as_signed() * multiplier),
            product.eq(low + (high << half)),
            shift_1.eq(shift),
            shift_2.eq(shift_1),
        ]
        m.d.comb += [
            round_clip.value.eq(product),
            round_clip.shift.eq(shift_2),
            *(getattr(round_clip, name).eq(getattr(self, name)) for name in RANGE),
            self.byte.eq(round_clip.byte),
        ]
        return m
