"""One bank of the Feature Buffer: memories of words, with two ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, C, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed
from tf2.gateware.signatures import row_bits

SMALLEST_BLOCK = 1024
"""Rows that are not worth a memory of their own: as deep as a block RAM is at its widest."""


def block_rows(rows: int) -> list[int]:
    """Return the rows of each memory of a bank: powers of two, falling, but for the last.

    Such a memory takes block RAMs as deep as itself, or few behind each other, so that little is
    left to choose behind their slow outputs: 5,120 rows are 4,096 and 1,024, not five of 1,024.
    """
    blocks = []
    while rows > SMALLEST_BLOCK:
        blocks.append(1 << (rows.bit_length() - 1))
        rows -= blocks[-1]
    return [*blocks, rows] if rows else blocks


_ATTRIBUTES: dict[str, Any] = {"no_rw_check": 1}


class FeatureBank(wiring.Component):
    """Hold a word of C bytes a row; port A reads, port B reads or writes.

    Reads take `LATENCY` cycles, one a cycle on each port; without `a_read` or `b_read` the word
    read before is read again. A write is seen by reads of later cycles. What port A reads while
    port B writes the same word is undefined, as is what port B reads while it writes.

    Port B has one address, so a memory is a true dual port block RAM. Its read registers are
    written as registers behind read ports without a clock: only so does yosys respect
    `no_rw_check`, and needs half the block RAMs.

    Args:
        config: Of the overlay.
        blocks: Contents of the memories, of `block_rows` rows.

    Members: a_read, a_row In; a_word Out; b_row In; b_read In; b_write In: which parts of N bytes
    of b_data In are written; b_word Out. Words have the first byte at the lowest bits.
    """

    LATENCY = 3  # cycles: the memory's register; one before and one behind it, as it is large

    def __init__(self, config: OverlayConfig, blocks: Sequence[MemoryData]) -> None:
        self._config = config
        self._blocks = blocks
        size, rows = 8 * config.inputs, row_bits(config)
        super().__init__({
            "a_read": In(1),
            "a_row": In(rows),
            "a_word": Out(size),
            "b_row": In(rows),
            "b_read": In(1),
            "b_write": In(config.parts),
            "b_data": In(size),
            "b_word": Out(size),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        a_read, a_row, b_read, b_row, b_data = (
            delayed(m, value, 1, name=name)
            for name, value in (
                ("a_read", self.a_read), ("a_row", self.a_row), ("b_read", self.b_read),
                ("b_row", self.b_row), ("b_data", self.b_data),
            )
        )  # fmt: skip
        starts = [sum(b.depth for b in self._blocks[:k]) for k in range(len(self._blocks))]
        a_words, b_words = [], []
        for k, content in enumerate(self._blocks):
            memory = Memory(content, attrs=_ATTRIBUTES)
            m.submodules[f"memory_{k}"] = memory
            write = memory.write_port(granularity=8 * self._config.outputs)
            written = self.b_write & self._here(self.b_row, starts[k], content.depth)
            m.d.comb += [
                write.addr.eq(b_row[: len(write.addr)]),
                write.en.eq(delayed(m, written, 1, reset=True, name=f"written_{k}")),
                write.data.eq(b_data),
            ]
            for enable, row, words in ((a_read, a_row, a_words), (b_read, b_row, b_words)):
                port = memory.read_port(domain="comb")
                word = Signal(len(self.a_word), name="word", reset_less=True)
                m.d.comb += port.addr.eq(row[: len(port.addr)])
                with m.If(enable):
                    m.d.sync += word.eq(port.data)
                words.append(word)
        self._choose(m, starts, a_read, a_row, a_words, self.a_word)
        self._choose(m, starts, b_read, b_row, b_words, self.b_word)
        return m

    def _here(self, row: Value, start: int, depth: int) -> Value:
        """Return, for each part, whether a row lies in a memory.

        A memory begins at a multiple of its rows' next power of two.
        """
        bits = (depth - 1).bit_length()
        parts = self._config.parts
        return (row[bits:] == start >> bits).replicate(parts) if bits < len(row) else C(-1, parts)

    @staticmethod
    def _choose(
        m: Module, starts: list[int], enable: Value, row: Value, words: list[Signal], output: Value
    ) -> None:
        """Give, a cycle after them, the word of the memory that was read."""
        number = Signal(range(len(words)), reset_less=True)
        late = Signal.like(output, name="late", reset_less=True)
        with m.If(enable):
            m.d.sync += number.eq(sum(row >= start for start in starts[1:]))
        m.d.sync += late.eq(Array(words)[number])
        m.d.comb += output.eq(late)
