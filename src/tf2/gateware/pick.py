"""One of several words."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Pick(wiring.Component):
    """Give the word that `source` names.

    Latency 1 cycle; initiation interval 1; nothing stalls.

    Args:
        words: How many there are.
        width: Bits of a word.

    Members: words In; source In: 0..words - 1; word Out.
    """

    LATENCY = 1

    def __init__(self, words: int, width: int) -> None:
        super().__init__({
            "words": In(data.ArrayLayout(width, words)),
            "source": In(range(words)),
            "word": Out(width),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        word = Signal(len(self.word), reset_less=True)
        count = len(self.words)
        m.d.sync += word.eq(Array(self.words[i] for i in range(count))[self.source])
        m.d.comb += self.word.eq(word)
        return m
