"""A residual byte added to a layer's byte."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.round_clip import RANGE, RoundClip

ADD_SETTINGS = {
    "y_unsigned": In(1), "r_unsigned": In(1), "factor_y": In(16), "factor_r": In(16),
    "shift_out": In(4),
}  # fmt: skip
"""Members that are constant while values are under way, of `isa.Residual`; `*_unsigned`: the zero
point is -128, else 0; `factor_*`: 2**shift, so that a DSP block shifts. With factors 1 and 0, and
neither zero points nor shift nor range, y goes through unchanged."""


class ResidualAdd(wiring.Component):
    """Give the sum of two bytes as `isa.Residual` defines it: two shifts, one rounding.

    Latency 5 cycles; initiation interval 1; nothing stalls.

    Members: y, r In: bytes; `ADD_SETTINGS` In; `RANGE` In: of the sum; byte Out.
    """

    LATENCY = 2 + RoundClip.LATENCY

    def __init__(self) -> None:
        super().__init__(
            {
                "y": In(signed(8)),
                "r": In(signed(8)),
                **ADD_SETTINGS,
                **RANGE,
                "byte": Out(signed(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.round_clip = round_clip = RoundClip(25)

        def above_zero(byte: Signal, is_unsigned: Signal, name: str) -> Signal:
            value = Signal(signed(9), name=name)
            # unsigned, it is moved by 128: the sign becomes bit 7
            m.d.comb += value.eq(Cat(byte[:7], byte[7] ^ is_unsigned, byte[7] & ~is_unsigned))
            return value

        y = above_zero(self.y, self.y_unsigned, "y_value")
        r = above_zero(self.r, self.r_unsigned, "r_value")
        y_term, r_term = (Signal(signed(24), name=n, reset_less=True) for n in ("y_term", "r_term"))
        total = Signal(signed(25), reset_less=True)
        m.d.sync += [
            y_term.eq(y * self.factor_y),
            r_term.eq(r * self.factor_r),
            total.eq(y_term + r_term),
        ]
        m.d.comb += [
            round_clip.value.eq(total),
            round_clip.shift.eq(self.shift_out),
            *(getattr(round_clip, name).eq(getattr(self, name)) for name in RANGE),
            self.byte.eq(round_clip.byte),
        ]
        return m
