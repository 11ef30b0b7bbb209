"""The layers in the array in time: closed form but for the first group of each block."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tf2.arch import OverlayConfig
from tf2.isa.instructions import Layer
from tf2.isa.timing import (
    RESCALE,
    START,
    announce_cycles,
    pipeline_cycles,
    post_cycles,
    sum_cycles,
)
from tf2.isa.walk import walk
from tf2.sim.cycle_model.port import Port

FREE_DELAY = 5
"""From a filter word's last issue being decided to the Filter Loader seeing its place free."""


@dataclass(frozen=True, kw_only=True)
class _Issues:
    """Words issued one a cycle, from cycle `begin` on, in groups an interval apart."""

    begin: int
    words: int
    groups: int = 1
    interval: int = 0

    @property
    def end(self) -> int:
        """The last cycle."""
        return self.begin + (self.groups - 1) * self.interval + self.words - 1

    def until(self, now: int) -> int:
        """Return the words up to and with a cycle."""
        since = max(0, now + 1 - self.begin)
        if self.groups == 1:
            return min(since, self.words)
        groups = min(since // self.interval, self.groups - 1)
        return groups * self.words + min(since - groups * self.interval, self.words)


class Array:
    """Of `Scheduler`, of `LayerStages`, and of what of the pipeline behind the rest can see.

    Attributes:
        port: Port B of the Feature Buffer.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self.port = Port(config)
        self._stalled = self._waited = self._issued = 0
        self._issues: deque[_Issues] = deque()  # not counted there
        self._layer: Layer | None = None  # the one that is issued
        self._ends: deque[int] = deque()  # of layers that are issued, in which they are written
        self._last = 0  # the cycle in which the last word of the layer before was issued
        self._passes: int | None = None  # the cycle in which the last stage has the layer
        self._idle_from = 0
        self._next = 0  # the cycle in which the next word is wanted
        self._interval = self._length = self._groups = 0
        self._word = self._block = 0  # of the block, of the layer
        self._wanted = 0  # words of all blocks before, and of this one, that were issued
        self._freed = 0
        self._given_back: deque[tuple[int, int]] = deque()  # (cycle of the first, words)
        self._blocks_done = 0
        self._block_ends: deque[int] = deque()
        self._to_block_end = 0

    @property
    def idle(self) -> bool:
        """Whether there is no layer."""
        return self._layer is None and not self._ends

    @property
    def issues(self) -> bool:
        """Whether words of a layer are still to be issued."""
        return self._layer is not None

    def freed(self, now: int) -> int:
        """Return the filter words given back, as they are seen in a cycle."""
        queue = self._given_back
        while queue and now >= queue[0][0] + queue[0][1] - 1:
            self._freed += queue.popleft()[1]
        return self._freed + (max(0, now - queue[0][0] + 1) if queue else 0)

    def blocks_done(self, now: int) -> int:
        """Return the blocks whose parameters are needed no more."""
        while self._block_ends and self._block_ends[0] < now:
            self._block_ends.popleft()
            self._blocks_done += 1
        return self._blocks_done

    def passes(self, now: int) -> bool:
        """Return whether the present layer leaves its queue, as the last stage has it."""
        passes = self._passes == now
        if passes:
            self._passes = None
        return passes

    def finish(self, now: int) -> bool:
        """Return whether a layer is written in this cycle; end it then."""
        if not self._ends or self._ends[0] != now:
            return False
        self._ends.popleft()
        self._idle_from = now + 1
        return True

    def begins(self, now: int, layer: Layer) -> bool:
        """Return whether a layer would be taken, all that ends in this cycle being ended.

        Only while none is issued.
        """
        since = now + START - 1 - self._last
        return not self._ends or (layer.start_after != 0 and since >= layer.start_after)

    def waiting(self, now: int) -> int:
        """Return the cycles without a layer up to and with this one."""
        return self._waited + (max(0, now + 1 - self._idle_from) if self.idle else 0)

    def take(self, now: int, layer: Layer) -> None:
        """Begin a layer."""
        config, w = self._config, walk(layer, self._config)
        if not self._ends:
            self._waited += max(0, now + 1 - self._idle_from)
        self._layer = layer
        self._next = now + START - 1
        self._interval, self._length = w.interval, layer.kernel.length
        self._groups = layer.groups
        self._word = self._block = 0
        # From the cycle in which the last word's issue is decided.
        self._to_written = 1 + pipeline_cycles(layer, config, w.segments)
        to_sums = 1 + sum_cycles(config)
        self._to_block_end = to_sums + post_cycles(layer, config) - RESCALE
        self.port.begin(layer, self._to_written, to_sums)

    def step(self, now: int, loaded: int) -> bool:
        """Issue as many words as are there, with what follows; return whether there were any."""
        if self._layer is None or now < self._next:
            return False
        words = min(loaded - self._wanted, self._length - self._word)
        if words <= 0:
            return False
        self._stalled += now - self._next
        self._issues.append(_Issues(begin=now + 1, words=words))
        self._word += words
        self._wanted += words
        if self._groups == 1:
            self._given_back.append((now + FREE_DELAY, words))
        self._next = now + words
        if self._word == self._length:
            self._finish_block(now + words - 1)
        return True

    def stalls(self, now: int) -> bool:
        """Return whether a word is due, which may not have come."""
        return self._layer is not None and self._next <= now

    def stall_filter(self, now: int) -> int:
        """Return the cycles up to and with this one in which a filter word had not come."""
        return self._stalled + (max(0, now + 1 - self._next) if self._layer is not None else 0)

    def busy(self, now: int) -> int:
        """Return the filter words issued up to and with this cycle."""
        while self._issues and self._issues[0].end <= now:
            self._issued += self._issues.popleft().until(now)
        return self._issued + sum(issues.until(now) for issues in self._issues)

    def _finish_block(self, first_end: int) -> None:
        """Let the other groups follow the first, whose last word is issued in a cycle."""
        assert self._layer is not None
        end = first_end + (self._groups - 1) * self._interval
        if self._groups > 1:
            self._given_back.append((end - self._length + 1 + FREE_DELAY, self._length))
            rest, begin = self._groups - 1, first_end + self._interval - self._length + 2
            self._issues.append(
                _Issues(begin=begin, words=self._length, groups=rest, interval=self._interval)
            )
        self._block_ends.append(end + self._to_block_end)
        self.port.add_block(first_end)
        if self._block == 0:
            self._passes = first_end + announce_cycles(self._config)
        self._word = 0
        self._block += 1
        self._next = end + 1 + self._interval - self._length
        if self._block == self._layer.out_groups:
            self._ends.append(end + self._to_written)
            self._layer, self._last = None, end

    def next_change(self, now: int) -> int | None:
        """Return the next cycle in which a layer may go on, begin or end; None where none does."""
        times = [self._passes or now, *self._ends]
        if self._layer is not None:
            times.append(self._next)
        elif self._ends:  # from the last issue on the next layer may begin
            times.append(max(now, self._last) + 1)
        return min((time for time in times if time > now), default=None)

    def next_freed(self, now: int) -> int | None:
        """Return the next cycle in which a filter word's place is free again; None for never."""
        return max(now + 1, self._given_back[0][0]) if self._given_back else None

    def next_block_done(self, now: int) -> int | None:
        """Return the next cycle in which a slot of parameters is free again; None for never."""
        return max(now, self._block_ends[0]) + 1 if self._block_ends else None
