"""Right shift with rounding to the nearest, ties to even, a zero point and a range."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

MAX_SHIFT = 17


class RoundClip(wiring.Component):
    """Give ``clip(round_half_even(value / 2**shift) + zero_point, low, high)``, as in `numerics`.

    ``(value + 2**(shift - 1) - 1 + (bit `shift` of value)) >> shift`` is that rounding.

    Latency 3 cycles; initiation interval 1; nothing stalls.

    Args:
        width: Bits of value; its magnitude and 2**16 together must fit.

    Members: value In: signed(width); shift In: 0..17, with the value; zero_point_low In: the zero
    point is -128, else 0; low, high In: bytes; these three are constant while values are under way;
    byte Out.
    """

    LATENCY = 3

    def __init__(self, width: int) -> None:
        super().__init__({
            "value": In(signed(width)),
            "shift": In(range(MAX_SHIFT + 1)),
            "zero_point_low": In(1),
            "low": In(signed(8)),
            "high": In(signed(8)),
            "byte": Out(signed(8)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        shape = self.value.shape()
        # cycle 0: the half, less one step unless the floor is odd
        odd = Signal()
        m.d.comb += odd.eq(self.value.bit_select(self.shift, 1))
        below_half = Cat(
            self.shift > position + 1 for position in range(MAX_SHIFT - 1)
        )  # 2**(shift - 1) - 1, 0 where the shift is 0
        raised = Signal(shape, reset_less=True)
        shift = Signal.like(self.shift, reset_less=True)
        m.d.sync += [
            raised.eq(self.value + below_half + (odd & self.shift.any())),
            shift.eq(self.shift),
        ]
        # cycle 1
        rounded = Signal(shape, reset_less=True)
        m.d.sync += rounded.eq(raised >> shift)
        # cycle 2: the range moved by the zero point, then the zero point: it flips bit 7
        offset = Mux(self.zero_point_low, 128, 0)
        lowest, highest = Signal(signed(9)), Signal(signed(9))
        m.d.comb += [lowest.eq(self.low + offset), highest.eq(self.high + offset)]
        clipped = Signal(signed(9))
        m.d.comb += clipped.eq(
            Mux(rounded < lowest, lowest, Mux(rounded > highest, highest, rounded))
        )
        byte = Signal(signed(8), reset_less=True)
        m.d.sync += byte.eq(clipped[:8] ^ Cat(Const(0, 7), self.zero_point_low))
        m.d.comb += self.byte.eq(byte)
        return m
