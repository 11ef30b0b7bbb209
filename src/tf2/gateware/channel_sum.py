"""The sum of one channel's bytes over a raster."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.dot_product import add_tree, tree_latency
from tf2.gateware.pipeline import delayed


class ChannelSum(wiring.Component):
    """Give ``bias + sum of the bytes inside`` of all groups since the first, as int32, wrapping.

    Latency `latency(pixels)` cycles; initiation interval 1; nothing stalls.

    Args:
        pixels: P.

    Members: valid, first In; bytes In: P; inside In: P bits, which of them count; bias In:
    signed(32), constant while groups are under way; sum Out: signed(32).
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        super().__init__({
            "valid": In(1), "first": In(1), "bytes": In(data.ArrayLayout(signed(8), pixels)),
            "inside": In(pixels), "bias": In(signed(32)), "sum": Out(signed(32)),
        })  # fmt: skip

    @staticmethod
    def latency(pixels: int) -> int:
        """Return the cycles from a group to the sum that contains it."""
        return 2 + tree_latency(pixels)

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        wait = self.latency(self._pixels) - 1
        terms: list[Value] = []
        for p in range(self._pixels):
            term = Signal(signed(8), name=f"term_{p}", reset_less=True)
            m.d.sync += term.eq(Mux(self.inside[p], self.bytes[p], 0))
            terms.append(term)
        group = add_tree(m, terms, name="group_")
        first = delayed(m, self.first, wait, name="first")
        total = Signal(signed(32), reset_less=True)
        with m.If(delayed(m, self.valid, wait, reset=True, name="valid")):
            m.d.sync += total.eq(Mux(first, self.bias, total) + group)
        m.d.comb += self.sum.eq(total)
        return m
