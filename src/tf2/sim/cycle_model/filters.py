"""The filter stream, from DDR to the ring of filter words."""

from __future__ import annotations

from collections import deque

from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.sim.cycle_model.array import Array
from tf2.sim.cycle_model.streams import StretchReader

PREFETCH_BEATS = 128
"""As of the `FilterLoader`."""


class Filters:
    """Of `FilterLoader`.

    Attributes:
        reader: Reads the filter stream.
        loaded: Filter words that the Scheduler sees.
    """

    def __init__(self, program: Program) -> None:
        config = program.config
        self.reader = StretchReader(config.ddr_bytes, depth=PREFETCH_BEATS)
        beats = -(-len(program.filters) // config.ddr_bytes)
        self.reader.bursts.begin(0, program.filters_address, beats)
        self._joined = max(1, config.filter_word_bytes // config.ddr_bytes)  # beats of a word
        self._cut = max(1, config.ddr_bytes // config.filter_word_bytes)  # words of a beat
        self._part = 0  # beats of the word, or words of the beat, that are behind
        self._parameter_words = config.parameter_words
        self._parameter_slots = config.parameter_slots
        self._filter_words = config.filter_words
        self._in_words = False
        self._index = self._block = 0
        self._slots = 0
        self._words = 0
        self._taken = 0  # as `loaded`, and the word that is being written
        self.loaded = 0

    def step(
        self, now: int, array: Array, blocks: deque[tuple[int, Layer]], *, arrived: bool
    ) -> bool:
        """Take a beat where there is room, with one that arrived; return whether any moved."""
        moved = self.loaded != self._taken
        self.loaded = self._taken
        taken = False
        if self.reader.queue.out:
            if self._part < self._joined - 1:
                self._part += 1
                taken = True
            elif blocks and blocks[0][0] <= now and self._has_room(now, array):
                self._place(blocks)
                moved = True
                self._part += 1
                taken = self._part >= self._cut
                if taken:
                    self._part = 0
        return self.reader.step(pushed=arrived, taken=taken) or moved

    @property
    def words(self) -> int:
        """Words of the stream taken so far, parameters too."""
        return self._words

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next while nothing is full, relative to a cycle."""
        return (self._part, self._taken != self.loaded, *self.reader.state(now))

    def words_free(self, now: int, array: Array, blocks: deque[tuple[int, Layer]]) -> int:
        """Return words that certainly find room, all of one layer; parameters count as words."""
        slots = self._parameter_slots - self._slots + array.blocks_done(now)
        if not blocks or blocks[0][0] > now or slots < 1:
            return 0
        layer = blocks[0][1]
        size = self._parameter_words + layer.kernel.length
        behind = self._index + self._parameter_words * self._in_words
        more = min(slots, layer.out_groups - self._block) - 1
        room = self._filter_words - self._taken + array.freed(now)
        return min(size - behind + more * size, room) - 2

    def pass_over(self, words: int, blocks: deque[tuple[int, Layer]]) -> None:
        """Have taken some words more, for which `words_free` has room."""
        late = self._taken - self.loaded
        for _ in range(words):
            self._place(blocks)
        self.loaded = self._taken - late

    def next_room(self, now: int, array: Array) -> int | None:
        """Return the next cycle in which there may be room for what waits; None for never."""
        if not self.reader.queue.out:
            return None
        return array.next_freed(now) if self._in_words else array.next_block_done(now)

    def _has_room(self, now: int, array: Array) -> bool:
        if self._in_words:
            return self._taken - array.freed(now) < self._filter_words
        return self._slots - array.blocks_done(now) < self._parameter_slots

    def _place(self, blocks: deque[tuple[int, Layer]]) -> None:
        """Follow where the word that is taken lies in its block, and in its layer."""
        layer = blocks[0][1]
        self._words += 1
        self._index += 1
        if not self._in_words:
            if self._index == self._parameter_words:
                self._index, self._in_words = 0, True
                self._slots += 1
            return
        self._taken += 1
        if self._index == layer.kernel.length:
            self._index, self._in_words = 0, False
            self._block += 1
            if self._block == layer.out_groups:
                self._block = 0
                blocks.popleft()
