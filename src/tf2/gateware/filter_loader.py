"""Streams filters and parameters from DDR into the array."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS
from tf2.gateware.decoder import BLOCKS
from tf2.gateware.pipeline import delayed
from tf2.gateware.serializer import Serializer
from tf2.gateware.signatures import (
    DdrRead,
    FilterWrite,
    ParameterWrite,
    word_bits,
)
from tf2.gateware.stretch_reader import StretchReader

PREFETCH_BEATS = 128
"""Beats of the filter stream read ahead of the Filter Cache: as many as may be under way."""


_GATHERED = 2
"""Cycles from a word's last part being taken to all of it lying side by side."""


class FilterLoader(wiring.Component):
    """Fill the ring of filter words, and the slots of parameters, as far ahead as there is room.

    Begins when its reset ends and knows no layers but their blocks: the next layer's filters follow
    at once. Latency 5 from `ddr.beat_valid` to `filter_write` where a word is a beat; initiation
    interval 1 beat and 1 word a cycle; stops, and in the end no longer asks, where the ring or the
    slots are full.

    Members: address In(40), size In(40): of the filter stream in bytes, stable; blocks
    In(stream(BLOCKS)): of each layer, taken with its last word; ddr Out(DdrRead); filter_write,
    parameter_write Out; filters_loaded Out(log2(filter_words) + 1): words written from the start
    on, wraps, counts a word in the cycle in which it is written; filters_freed In: those that may
    be overwritten, counted likewise; block_done In: strobe, one slot is free again.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self._part_count = max(1, config.filter_word_bytes // config.ddr_bytes)
        self._word = Signal(8 * config.filter_word_bytes, name="word", reset_less=True)
        super().__init__({
            "address": In(ADDRESS_BITS),
            "size": In(ADDRESS_BITS),
            "blocks": In(stream.Signature(BLOCKS)),
            "ddr": Out(DdrRead(config)),
            "filter_write": Out(FilterWrite(config)),
            "parameter_write": Out(ParameterWrite(config)),
            "filters_loaded": Out(word_bits(config) + 1),
            "filters_freed": In(word_bits(config) + 1),
            "block_done": In(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        parts = self._parts(m)
        last_part = Signal(init=self._part_count == 1)  # the part at hand completes a word
        parameters, last = Signal(), Signal()  # the word at hand: of parameters; the last of such
        room, slot_free, moves = Signal(), Signal(), Signal()
        m.d.comb += [
            moves.eq(
                parts.valid & last_part & self.blocks.valid & Mux(parameters, slot_free, room)
            ),
            parts.ready.eq(~last_part | moves),
        ]
        self._gather(m, parts, last_part)
        self._place(m, parameters, last, moves)
        self._write_filters(m, moves & ~parameters, room)
        self._write_parameters(m, moves & parameters, last, slot_free)
        return m

    def _parts(self, m: Module) -> Any:
        """Return the filter stream as a stream of the parts of filter words."""
        config = self._config
        m.submodules.reader = reader = StretchReader(config, depth=PREFETCH_BEATS)
        connect(m, reader.ddr, flipped(self.ddr))
        started = Signal()
        beat_bits = (config.ddr_bytes - 1).bit_length()
        filled_up = Signal(ADDRESS_BITS + 1)
        m.d.comb += [
            filled_up.eq(self.size + config.ddr_bytes - 1),
            reader.stretch.valid.eq(~started),
            reader.stretch.payload.address.eq(self.address),
            reader.stretch.payload.beats.eq(filled_up[beat_bits:]),
        ]
        m.d.sync += started.eq(1)  # the first stretch is taken at once
        if config.filter_word_bytes >= config.ddr_bytes:
            return reader.beats
        m.submodules.words = cut = Serializer(
            width=8 * config.ddr_bytes, beat_width=8 * config.filter_word_bytes
        )
        connect(m, reader.beats, cut.word)
        return cut.beats

    def _gather(self, m: Module, parts: Any, last_part: Signal) -> None:
        """Put the parts of a word side by side, `_GATHERED` cycles after they were taken.

        Nothing of a word is gated by what comes with it: a part that is not there yet is written
        again until it is, so that no wire goes to all of a word within one cycle.
        """
        width, count = len(parts.payload), self._part_count
        index = Signal(range(count))
        came, part = Signal(range(count), reset_less=True), Signal(width, reset_less=True)
        with m.If(parts.valid & parts.ready):
            m.d.sync += [
                index.eq(Mux(last_part, 0, index + 1)),
                last_part.eq(index == count - 2 if count > 1 else 1),
            ]
        m.d.sync += [came.eq(index), part.eq(parts.payload)]
        for k in range(count):
            with m.If(came == k):
                m.d.sync += self._word[k * width : (k + 1) * width].eq(part)

    def _place(self, m: Module, parameters: Signal, last: Signal, moves: Signal) -> None:
        """Follow where in its block, and in its layer, the word at hand lies."""
        blocks = self.blocks.payload
        in_words = Signal()
        index, block = Signal(20), Signal(12)
        last_block = Signal()
        m.d.comb += [
            parameters.eq(~in_words),
            last.eq(index == Mux(in_words, blocks.length_last, self._config.parameter_words - 1)),
            last_block.eq(block == blocks.out_groups_last),
            self.blocks.ready.eq(moves & in_words & last & last_block),
        ]
        with m.If(moves):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += [index.eq(0), in_words.eq(~in_words)]
                with m.If(in_words):
                    m.d.sync += block.eq(Mux(last_block, 0, block + 1))

    def _write_filters(self, m: Module, moves: Any, room: Signal) -> None:
        write, loaded = self.filter_write, self.filters_loaded
        taken = Signal.like(loaded)  # as `loaded`, and the word that is being gathered
        held = Signal.like(loaded)
        m.d.comb += [
            held.eq(taken - self.filters_freed),
            room.eq(~held[-1]),  # held == filter_words: full
            write.en.eq(delayed(m, moves, _GATHERED, reset=True, name="filter_en")),
            write.address.eq(delayed(m, taken, _GATHERED, name="filter_address")),
            Value.cast(write.word).eq(self._word),
        ]
        m.d.sync += [taken.eq(taken + moves), loaded.eq(taken)]

    def _write_parameters(self, m: Module, moves: Any, last: Signal, slot_free: Signal) -> None:
        """Write a block's words of parameters at once, with the last of them."""
        write = self.parameter_write
        used = Signal(range(self._config.parameter_slots + 1))
        m.d.comb += slot_free.eq(used != self._config.parameter_slots)
        m.d.sync += used.eq(used + (moves & last) - self.block_done)
        here = delayed(m, moves, _GATHERED, reset=True, name="parameters_here")
        ends = delayed(m, last, _GATHERED, name="parameters_end")
        before = []
        for k in range(self._config.parameter_words - 1):
            # From the last to the first: each word moves on as the next one comes.
            kept = Signal.like(self._word, name=f"parameters_before_{k}", reset_less=True)
            with m.If(here):
                m.d.sync += kept.eq(before[-1] if before else self._word)
            before.append(kept)
        m.d.comb += [
            write.en.eq(here & ends),
            Value.cast(write.parameters).eq(Cat(*reversed(before), self._word)),
        ]
        with m.If(write.en):
            m.d.sync += write.slot.eq(write.slot + 1)
