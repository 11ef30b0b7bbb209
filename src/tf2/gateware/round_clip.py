"""Right shift with rounding to the nearest, ties to even, a zero point and a range."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

MAX_SHIFT = 17

RANGE = {"zero_point_low": In(1), "lowest": In(signed(9)), "highest": In(signed(9))}
"""Members that are constant while values are under way: the zero point is -128, else 0; the range
of bytes before it is added (`range_settings`)."""

KEPT = 9
"""Bits of the floor that matter: beyond -256..255 the range decides."""


def range_settings(zero_point_low: Value, low: Value, high: Value) -> dict[str, Value]:
    """Return what `RANGE` is told for bytes from low to high, the zero point included."""
    offset = Mux(zero_point_low, 128, 0)
    return {"zero_point_low": zero_point_low, "lowest": low + offset, "highest": high + offset}


class RoundClip(wiring.Component):
    """Give ``clip(round_half_even(value / 2**shift) + zero_point, low, high)``, as in `numerics`.

    The floor is kept in `KEPT` bits, with what was dropped on either side in a few flags: it is one
    more where the first bit dropped is 1, and any other dropped bit or its own last bit is.

    Latency 3 cycles; initiation interval 1; nothing stalls.

    Args:
        width: Bits of value.

    Members: value In: signed(width); shift In: 0..17, with the value; `RANGE` In: constant while
    values are under way; byte Out.
    """

    LATENCY = 3

    def __init__(self, width: int) -> None:
        super().__init__({
            "value": In(signed(width)),
            "shift": In(range(MAX_SHIFT + 1)),
            **RANGE,
            "byte": Out(signed(8)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        # cycle 0: the floor above its first dropped bit
        shifted, below, above = self._shift(m)
        floor = Signal(KEPT, reset_less=True)
        half = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        m.d.sync += [Cat(half, floor).eq(shifted), negative.eq(self.value[-1])]
        # cycle 1: one more or not
        inside = Mux(above.any(), Cat(~negative.replicate(KEPT - 1), negative), floor)
        rounded = Signal(signed(KEPT + 1), reset_less=True)
        m.d.sync += rounded.eq(inside.as_signed() + (half & (below.any() | floor[0])))
        # cycle 2: the range, then the zero point: it flips bit 7
        clipped = Signal(signed(9))
        lowest, highest = self.lowest, self.highest
        m.d.comb += clipped.eq(
            Mux(rounded < lowest, lowest, Mux(rounded > highest, highest, rounded))
        )
        byte = Signal(signed(8), reset_less=True)
        m.d.sync += byte.eq(clipped[:8] ^ Cat(Const(0, 7), self.zero_point_low))
        m.d.comb += self.byte.eq(byte)
        return m

    def _shift(self, m: Module) -> tuple[Value, Signal, Signal]:
        """Return `KEPT` bits of the floor behind the first dropped one, and what else was dropped.

        Flags, a cycle later: of bits below that are 1; of bits above that are not the sign.
        """
        steps = len(self.shift)
        sign = self.value[-1]
        bits = Cat(Const(0, 1), self.value, sign.replicate(2**steps + KEPT))
        below, above = Signal(steps, reset_less=True), Signal(steps + 1, reset_less=True)
        for k in reversed(range(steps)):  # the largest step first: it leaves the fewest bits
            step, needed = 1 << k, KEPT + (1 << k)
            chosen, now = self.shift[k], Signal(needed, name=f"bits_{k}")
            m.d.comb += now.eq(Mux(chosen, bits[step : step + needed], bits[:needed]))
            m.d.sync += [
                below[k].eq(chosen & bits[:step].any()),
                above[k].eq(~chosen & (bits[needed : needed + step] != sign.replicate(step))),
            ]
            bits = now
        m.d.sync += above[steps].eq(bits[-1] != sign)
        return bits, below, above
