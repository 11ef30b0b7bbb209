"""Wide to narrow: a word becomes several beats."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Serializer(wiring.Component):
    """Cut a word into `count` beats, the lowest bits first; the last is filled up with zeros.

    Latency 0: the word stays at the input until its last beat is taken. Initiation interval 1 beat
    a cycle; gives and respects back-pressure.

    Args:
        width: Bits of a word.
        beat_width: Bits of a beat.

    Members: word In(stream(width)); beats Out(stream(beat_width)).
    """

    def __init__(self, *, width: int, beat_width: int) -> None:
        self._count = -(-width // beat_width)
        super().__init__({
            "word": In(stream.Signature(width)),
            "beats": Out(stream.Signature(beat_width)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        index = Signal(range(self._count))
        last = Signal()
        width = len(self.beats.payload)
        m.d.comb += [
            last.eq(index == self._count - 1),
            self.beats.valid.eq(self.word.valid),
            self.word.ready.eq(last & self.beats.ready),
        ]
        with m.Switch(index):
            for k in range(self._count):
                with m.Case(k):
                    m.d.comb += self.beats.payload.eq(
                        self.word.payload[k * width : (k + 1) * width]
                    )
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)
        return m
