"""Stretches in which the same happens again and again, passed over at once."""

from __future__ import annotations

from typing import NamedTuple

from tf2.sim.cycle_model.array import Array
from tf2.sim.cycle_model.control import Control
from tf2.sim.cycle_model.features import Loads, Stores
from tf2.sim.cycle_model.filters import Filters
from tf2.sim.cycle_model.memory import Memory, ReadMaster

REMEMBERED = 12
"""States that are compared with: more than there are bursts in a period."""

_MARGIN_BEATS = 32
"""Of a stretch that are never passed over: its end is another matter."""


class _Counts(NamedTuple):
    """What goes on and on while the state comes again."""

    load_beats: int
    filter_beats: int
    store_beats: int
    load_rows: int
    store_rows: int
    words: int
    read_beats: int
    written_beats: int


class Periods:
    """Finds that the parts are in a state again in which they were, and repeats what was between.

    Nothing is passed over that ends in between: a stretch, a load, a store, the room for filters;
    nor anything while the array waits for words, or may be in the way of rows.
    """

    def __init__(
        self, memory: Memory, reads: ReadMaster, control: Control, array: Array, loads: Loads,
        stores: Stores, filters: Filters,
    ) -> None:  # fmt: skip
        self._memory, self._reads, self._control, self._array = memory, reads, control, array
        self._loads, self._stores, self._filters = loads, stores, filters
        self._seen: dict[tuple[object, ...], tuple[int, _Counts]] = {}

    def pass_over(self, now: int) -> int:
        """Return the cycle from which to go on, in the state that it then has.

        Args:
            now: The next cycle; a burst was accepted in the one before.
        """
        array, rows_rest = self._array, self._loads.idle and self._stores.idle
        event = array.next_change(now - 1)  # or in the next cycle
        goes_on = rows_rest and event is not None and not array.stalls(now)
        if self._control.moves or not (array.idle or goes_on):
            self._seen.clear()
            return now
        state = (
            self._memory.state(now), self._reads.state(), self._control.code.state(now),
            self._loads.state(now), self._stores.state(now), self._filters.state(now), array.idle,
        )  # fmt: skip
        counts = self._counts()
        before = self._seen.get(state)
        if before is None and len(self._seen) < REMEMBERED:
            self._seen[state] = (now, counts)
            return now
        self._seen.clear()
        self._seen[state] = (now, counts)
        if before is None:
            return now
        period, step = (
            now - before[0],
            _Counts(*(b - a for a, b in zip(before[1], counts, strict=True))),
        )
        times = self._times(now, step)
        if event is not None:
            times = min(times, (event - now) // period - 1)
        if times < 1:
            return now
        self._seen.clear()
        self._repeat(times, step, times * period)
        return now + times * period

    def _counts(self) -> _Counts:
        loads, stores = self._loads, self._stores
        return _Counts(
            -loads.reader.bursts.left, -self._filters.reader.bursts.left, -stores.bursts.left,
            -loads.rows_left, -stores.rows_left, self._filters.words, self._reads.beats,
            stores.master.beats,
        )  # fmt: skip

    def _times(self, now: int, step: _Counts) -> int:
        """Return how often what happened in a period can happen again."""
        loads, stores, filters = self._loads, self._stores, self._filters
        words = filters.words_free(now, self._array, self._control.blocks) if step.words else 0
        limits = (
            (loads.reader.bursts.left - _MARGIN_BEATS, step.load_beats),
            (filters.reader.bursts.left - _MARGIN_BEATS, step.filter_beats),
            (stores.bursts.left - _MARGIN_BEATS, step.store_beats),
            (loads.rows_left - 2, step.load_rows),
            (stores.rows_left - 2, step.store_rows),
            (words, step.words),
        )
        if any(of < 0 for _, of in limits):  # a stretch, load or store began in between
            return 0
        return min((left // of for left, of in limits if of), default=0)

    def _repeat(self, times: int, step: _Counts, cycles: int) -> None:
        loads, stores, filters = self._loads, self._stores, self._filters
        self._memory.shift(cycles)
        loads.reader.bursts.left -= times * step.load_beats
        filters.reader.bursts.left -= times * step.filter_beats
        stores.bursts.left -= times * step.store_beats
        loads.pass_over(times * step.load_rows)
        stores.pass_over(times * step.store_rows, cycles)
        filters.pass_over(times * step.words, self._control.blocks)
        self._reads.beats += times * step.read_beats
        stores.master.beats += times * step.written_beats
