"""The largest of up to three bytes, for the N channels of a position."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class WindowMax(wiring.Component):
    """Give the largest of a byte and of the `taps` bytes that count beside it, in order.

    Latency 2 cycles, one for each comparison; initiation interval 1; nothing stalls.

    Args:
        outputs: N.

    Members: first, second In: N bytes; taps In: 0..2, with them; third In: N bytes, a cycle after
    them; largest Out: N bytes.
    """

    LATENCY = 2

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        bytes_ = data.ArrayLayout(signed(8), outputs)
        super().__init__({
            "first": In(bytes_), "second": In(bytes_), "third": In(bytes_), "taps": In(2),
            "largest": Out(bytes_),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        largest = Signal(data.ArrayLayout(signed(8), self._outputs), reset_less=True)
        m.d.comb += self.largest.eq(largest)
        counts = Signal(reset_less=True)  # the third one does
        m.d.sync += counts.eq(self.taps >= 2)
        for n in range(self._outputs):
            of_two = Signal(signed(8), name=f"of_two_{n}", reset_less=True)
            first, second, third = self.first[n], self.second[n], self.third[n]
            m.d.sync += [
                of_two.eq(Mux((self.taps >= 1) & (second > first), second, first)),
                largest[n].eq(Mux(counts & (third > of_two), third, of_two)),
            ]
        return m
