"""The Scheduler's layers in time: closed form but for the first group of each block."""

from __future__ import annotations

from collections import deque

from tf2.arch import OverlayConfig
from tf2.isa.instructions import Layer
from tf2.isa.timing import START, issue_cycles, layer_cycles
from tf2.isa.walk import walk
from tf2.sim.cycle_model.port import Port

FREE_DELAY = 5
"""From a filter word's last issue being decided to the Filter Loader seeing its place free."""

_TO_SUMS = 9
"""From an issue to the sums of its group; the adder tree comes on top."""


class Array:
    """Of `Scheduler`, and of what of the pipeline behind it the rest can see.

    Attributes:
        port: Port B of the Feature Buffer.
        stalled: Cycles in which a filter word had not come.
        waited: Cycles without a layer, up to the last that was taken.
        busy: Filter words issued.
        ends: The cycle in which the present layer is completely written, once that is known.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self.port = Port(config)
        self.stalled = self.waited = self.busy = 0
        self.ends: int | None = None
        self._layer: Layer | None = None
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
        return self._layer is None

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

    def ready(self, now: int) -> bool:
        """Return whether a layer would be taken."""
        return self._layer is None or self.ends == now

    def finish(self, now: int) -> None:
        """End the layer, which is written, in this cycle."""
        self._layer = None
        self._idle_from = now + 1
        self.ends = None

    def waiting(self, now: int) -> int:
        """Return the cycles without a layer up to and with this one."""
        idle = max(0, now + 1 - self._idle_from) if self._layer is None else 0
        return self.waited + idle

    def take(self, now: int, layer: Layer) -> None:
        """Begin a layer."""
        config, w = self._config, walk(layer, self._config)
        self.waited += max(0, now + 1 - self._idle_from)
        self._layer = layer
        self._next = now + START - 1
        self._interval, self._length = w.interval, layer.kernel.length
        self._groups = layer.groups
        self._word = self._block = 0
        undisturbed = START + issue_cycles(layer, config) - (w.interval - self._length) - 1
        # From the cycle in which the last word's issue is decided.
        self._to_written = 1 + layer_cycles(layer, config) - undisturbed
        to_sums = 1 + _TO_SUMS + tree(config.inputs)
        raw = layer.raw and layer.pool is None
        beats = 3 * max(config.post_beats, w.segments) if raw else 0
        self._to_block_end = to_sums + config.post_beats + beats
        self.port.begin(now, layer, self._to_written, to_sums)

    def step(self, now: int, loaded: int) -> bool:
        """Issue as many words as are there, with what follows; return whether there were any."""
        if self._layer is None or self.ends is not None or now < self._next:
            return False
        words = min(loaded - self._wanted, self._length - self._word)
        if words <= 0:
            return False
        self.stalled += now - self._next
        self._word += words
        self._wanted += words
        if self._groups == 1:
            self._given_back.append((now + FREE_DELAY, words))
        self._next = now + words
        if self._word == self._length:
            self._finish_block(now + words - 1)
        return True

    def stalling(self, now: int) -> int:
        """Return the cycles of a stall that goes on, up to and with this one."""
        goes_on = self._layer is not None and self.ends is None
        return max(0, now + 1 - self._next) if goes_on else 0

    def _finish_block(self, first_end: int) -> None:
        """Let the other groups follow the first, whose last word is issued in a cycle."""
        assert self._layer is not None
        end = first_end + (self._groups - 1) * self._interval
        if self._groups > 1:
            self._given_back.append((end - self._length + 1 + FREE_DELAY, self._length))
        self.busy += self._groups * self._length
        self._block_ends.append(end + self._to_block_end)
        self.port.add_block(first_end)
        self._word = 0
        self._block += 1
        self._next = end + 1 + self._interval - self._length
        if self._block == self._layer.out_groups:
            self.ends = end + self._to_written

    def next_change(self, now: int) -> int | None:
        """Return the next cycle in which the layer goes on or ends; None where it waits."""
        times = [time for time in (self._next, self.ends) if time is not None and time > now]
        return min(times, default=None)

    def next_freed(self, now: int) -> int | None:
        """Return the next cycle in which a filter word's place is free again; None for never."""
        return max(now + 1, self._given_back[0][0]) if self._given_back else None

    def next_block_done(self, now: int) -> int | None:
        """Return the next cycle in which a slot of parameters is free again; None for never."""
        return max(now, self._block_ends[0]) + 1 if self._block_ends else None


def tree(terms: int) -> int:
    """Return the cycles of an adder tree: a level a cycle."""
    return (terms - 1).bit_length()
