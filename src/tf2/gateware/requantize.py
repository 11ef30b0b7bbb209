"""From an accumulator to a byte: multiplier, shift, zero point, range."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.round_clip import MAX_SHIFT, RoundClip

MULTIPLIERS = {
    "multiplier": In(8),
    "shift": In(range(MAX_SHIFT + 1)),
    "negative_multiplier": In(signed(9)),
    "negative_shift": In(range(MAX_SHIFT + 1)),
}
"""Members that come with an accumulator; the second pair is taken where it is below zero."""

RANGE = {"zero_point_low": In(1), "low": In(signed(8)), "high": In(signed(8))}
"""Members that are constant while values are under way: zero point -128 (else 0), and the range."""


class Requantize(wiring.Component):
    """Give `numerics.fixed_point.rescale` of an accumulator, with a second pair below zero.

    Latency 6 cycles; initiation interval 1; nothing stalls.

    Members: acc In: signed(32); `MULTIPLIERS` In; `RANGE` In; byte Out.
    """

    LATENCY = 3 + RoundClip.LATENCY

    def __init__(self) -> None:
        super().__init__({"acc": In(signed(32)), **MULTIPLIERS, **RANGE, "byte": Out(signed(8))})

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
            round_clip.zero_point_low.eq(self.zero_point_low),
            round_clip.low.eq(self.low),
            round_clip.high.eq(self.high),
            self.byte.eq(round_clip.byte),
        ]
        return m
