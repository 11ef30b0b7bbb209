"""Narrow to wide: several beats become one word."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Assembler(wiring.Component):
    """Join `count` beats into a word, the first at the lowest bits.

    Latency 0: the last beat passes through into the word. Initiation interval 1 beat a cycle; gives
    and respects back-pressure.

    Args:
        width: Bits of a beat.
        count: Beats of a word, at least 1.

    Members: beats In(stream(width)); word Out(stream(width * count)).
    """

    def __init__(self, *, width: int, count: int) -> None:
        self._width = width
        self._count = count
        super().__init__({
            "beats": In(stream.Signature(width)),
            "word": Out(stream.Signature(width * count)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        kept = [
            Signal(self._width, name=f"beat_{k}", reset_less=True) for k in range(self._count - 1)
        ]
        index = Signal(range(self._count))
        last = Signal()
        m.d.comb += [
            last.eq(index == self._count - 1),
            self.word.payload.eq(Cat(*kept, self.beats.payload)),
            self.word.valid.eq(self.beats.valid & last),
            self.beats.ready.eq(~last | self.word.ready),
        ]
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += index.eq(0 if self._count == 1 else (index + 1))
            with m.If(last):
                m.d.sync += index.eq(0)
            for k, beat in enumerate(kept):
                with m.If(index == k):
                    m.d.sync += beat.eq(self.beats.payload)
        return m
