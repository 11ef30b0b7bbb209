"""Stretches of DDR as bursts, and as beats in a buffer: what all ways to DDR have in common."""

from __future__ import annotations

BURST_BEATS = 16
"""Bursts end at multiples of that."""


class Bursts:
    """Of `BurstGenerator`: stretches cut into bursts.

    Args:
        ddr_bytes: Of a beat.

    Attributes:
        left: Beats still to be asked for.
    """

    def __init__(self, ddr_bytes: int) -> None:
        self._ddr_bytes = ddr_bytes
        self._in_block = 0
        self.left = 0
        self._from = 0  # the cycle in which what was changed last is seen

    def begin(self, now: int, address: int, beats: int) -> None:
        """Take a stretch in this cycle."""
        self._in_block = address // self._ddr_bytes % BURST_BEATS
        self.left, self._from = beats, now + 1

    def free(self, now: int) -> bool:
        """Return whether a stretch would be taken: all bursts of the one before were."""
        return not self.left and now >= self._from

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next but `left`, relative to a cycle."""
        return (self._in_block, self.left > 0, now >= self._from)

    def take(self, now: int, room: int = BURST_BEATS) -> int:
        """Return the beats of the burst that is given in this cycle, if there is room for it."""
        if not self.left or now < self._from:
            return 0
        size = min(self.left, BURST_BEATS - self._in_block)
        if size > room:
            return 0
        self.left -= size
        self._in_block = 0
        if not self.left:
            self._from = now + 1
        return size


class BeatQueue:
    """Of `SyncFIFOBuffered`: two cycles from its input to its output.

    Attributes:
        out: Whether a beat is at the output.
    """

    def __init__(self, depth: int) -> None:
        self._inner_depth = depth - 1
        self._inner = 0
        self.out = False

    @property
    def full(self) -> bool:
        """Whether nothing can be pushed."""
        return self._inner == self._inner_depth

    def state(self) -> tuple[object, ...]:
        """Return all that decides what comes next."""
        return (self._inner, self.out)

    def step(self, *, pushed: bool, taken: bool) -> bool:
        """End a cycle; return whether anything moved."""
        if self._inner and (taken or not self.out):
            self._inner += pushed - 1
            self.out = True
            return True
        self._inner += pushed
        self.out = self.out and not taken
        return pushed or taken


class StretchReader:
    """Of `tf2.gateware.stretch_reader`: asks for bursts that there is room for.

    Args:
        ddr_bytes: Of a beat.
        depth: Beats of the buffer.

    Attributes:
        bursts: Takes stretches.
        queue: Gives beats.
    """

    def __init__(self, ddr_bytes: int, *, depth: int) -> None:
        self.bursts = Bursts(ddr_bytes)
        self.queue = BeatQueue(depth)
        self._room = depth  # less what was asked for

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next but `Bursts.left`, relative to a cycle."""
        return (self._room, *self.queue.state(), *self.bursts.state(now))

    def request(self, now: int) -> int:
        """Return the beats of the burst asked for in this cycle, 0 for none."""
        beats = self.bursts.take(now, self._room)
        self._room -= beats
        return beats

    def step(self, *, pushed: bool, taken: bool) -> bool:
        """End a cycle in which a beat came, or one was taken; return whether anything moved."""
        self._room += taken
        return self.queue.step(pushed=pushed, taken=taken)
