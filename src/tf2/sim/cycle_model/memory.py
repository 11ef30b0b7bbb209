"""The DDR as `harness.cpp` models it, and the two masters of the overlay before it."""

from __future__ import annotations

from collections import deque

from tf2.sim.cycle_model.streams import Bursts, StretchReader
from tf2.sim.simulation import DdrSettings

OUTSTANDING_BURSTS = 8
"""Of each master, as of `DdrReader` and `DdrWriter`."""

_BEAT_COST = 256
"""Tokens of a beat; `DdrSettings.beats_per_256` come in a cycle."""


class Memory:
    """What the overlay sees of DDR, from one cycle to the next; random stalls are left out.

    Attributes:
        arready: Whether a read is accepted in this cycle.
        rvalid: Whether a beat is given; it is always taken.
        awready: As arready.
        wready: Whether a beat is taken.
        bvalid: Whether a burst is answered.
    """

    def __init__(self, settings: DdrSettings) -> None:
        self._rate = settings.beats_per_256
        self._latency = settings.latency
        self._outstanding = settings.max_outstanding
        self._tokens = self._most = _BEAT_COST + self._rate
        self._reads: deque[list[int]] = deque()  # [ready cycle, beats left]
        self._writes: deque[int] = deque()  # beats left
        self._answers: deque[int] = deque()  # ready cycle
        self._read_served_last = False
        self.arready = self.awready = True
        self.rvalid = self.wready = self.bvalid = False

    def step(self, now: int, read: int, write: int, *, wvalid: bool) -> bool:
        """End a cycle in which bursts of so many beats were asked for, 0 for none.

        Returns:
            Whether the next cycle brings anything to the masters.
        """
        was_ready = self.wready
        wrote = wvalid and was_ready
        after = now + 1
        if read:
            self._reads.append([after + self._latency, read])
        if write:
            self._writes.append(write)
        if wrote:
            self._take_beat(after)
        tokens = self._tokens + self._rate
        self._tokens = tokens if tokens < self._most else self._most
        if was_ready and not wrote:
            self._tokens += _BEAT_COST  # was set aside and not used
        if wvalid and not wrote and self._read_served_last:
            self._offer_write()
            self._offer_read(after)
        else:
            self._offer_read(after)
            self._offer_write()
        self.bvalid = bool(self._answers) and self._answers[0] <= after
        if self.bvalid:
            self._answers.popleft()
        self.arready = len(self._reads) < self._outstanding
        self.awready = len(self._writes) < self._outstanding
        return self.rvalid or self.bvalid or (self.wready and not was_ready)

    def _take_beat(self, after: int) -> None:
        self._writes[0] -= 1
        if not self._writes[0]:
            self._writes.popleft()
            self._answers.append(after + self._latency)

    def _offer_read(self, after: int) -> None:
        reads = self._reads
        if not reads:
            return
        head = reads[0]
        if self.rvalid:
            head[1] -= 1
            if not head[1]:
                reads.popleft()
                if not reads:
                    self.rvalid = False
                    return
                head = reads[0]
        self.rvalid = self._tokens >= _BEAT_COST and head[0] <= after
        if self.rvalid:
            self._tokens -= _BEAT_COST
            self._read_served_last = True

    def _offer_write(self) -> None:
        if not self._writes:
            self.wready = False
            return
        self.wready = self._tokens >= _BEAT_COST
        if self.wready:
            self._tokens -= _BEAT_COST
            self._read_served_last = False

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next, relative to a cycle."""
        return (
            self._tokens, self._read_served_last, self.rvalid, self.wready, self.bvalid,
            tuple((ready - now, beats) for ready, beats in self._reads),
            tuple(self._writes), tuple(ready - now for ready in self._answers),
        )  # fmt: skip

    def shift(self, cycles: int) -> None:
        """Be as many cycles later."""
        for burst in self._reads:
            burst[0] += cycles
        self._answers = deque(ready + cycles for ready in self._answers)

    def next_change(self, now: int) -> int | None:
        """Return the first cycle whose end may give what is not given yet; None for never."""
        times = [self._answers[0] - 1] if self._answers else []
        tokens = self._tokens + _BEAT_COST * self.wready  # what is set aside may be used by others
        enough = now - (tokens - _BEAT_COST) // self._rate
        if self._reads:
            times.append(max(self._reads[0][0] - 1, enough))
        if self._writes and not self.wready:
            times.append(enough)
        return min(times, default=None)

    def pass_over(self, cycles: int) -> None:
        """Let cycles go by in which nothing moves."""
        self._tokens = min(self._tokens + cycles * self._rate, self._most)


class ReadMaster:
    """Of `DdrReader`: three stages to the bus; beats go to their readers a cycle later.

    Attributes:
        arrived: The reader whose beat comes out in this cycle.
        beats: On the bus so far.
    """

    def __init__(self, readers: tuple[StretchReader, ...]) -> None:
        self._readers = readers
        self._stages: list[tuple[StretchReader, int] | None] = [None, None]
        self._on_bus = 0
        self._route: deque[tuple[StretchReader, int]] = deque()
        self._given = 0  # beats of its first burst
        self.arrived: StretchReader | None = None
        self.beats = 0

    def state(self) -> tuple[object, ...]:
        """Return all that decides what comes next."""
        arrived, route = self.arrived, tuple(self._route)
        return (*self._stages, self._on_bus, route, self._given, arrived)

    def ask(self, now: int, memory: Memory) -> tuple[int, bool]:
        """Move requests on; return (beats of the burst that the memory accepts, any moved)."""
        first, second = self._stages
        accepted = self._on_bus if memory.arready else 0
        leaves = (
            second is not None
            and (not self._on_bus or memory.arready)
            and len(self._route) < OUTSTANDING_BURSTS
        )
        if memory.arready:
            self._on_bus = 0
        if leaves and second is not None:
            self._on_bus = second[1]
            self._route.append(second)
        moved = leaves or accepted > 0
        if second is None or leaves:
            self._stages[1] = first
            moved = moved or first is not None
            first = None
        if first is None:
            for reader in self._readers:
                beats = reader.request(now) if reader.bursts.left else 0
                if beats:
                    first = (reader, beats)
                    moved = True
                    break
        self._stages[0] = first
        return accepted, moved

    def answer(self, memory: Memory) -> None:
        """Take the beat on the bus, if there is one, to its reader in the next cycle."""
        self.arrived = None
        if memory.rvalid:
            self.arrived, size = self._route[0]
            self.beats += 1
            self._given += 1
            if self._given == size:
                self._given = 0
                self._route.popleft()


class WriteMaster:
    """Of `DdrWriter`: two stages to the bus, beats one.

    Attributes:
        wvalid: A beat is on the bus.
        beats: Taken by the memory so far.
    """

    def __init__(self, bursts: Bursts) -> None:
        self._requests = bursts
        self._stage = self._on_bus = 0
        self._open = 0  # bursts without an answer
        self._bursts: deque[int] = deque()  # beats still to come of each
        self.wvalid = False
        self.beats = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._stage or self._on_bus or self._open or self.wvalid)

    def state(self) -> tuple[object, ...]:
        """Return all that decides what comes next."""
        return (self._stage, self._on_bus, self._open, tuple(self._bursts), self.wvalid)

    def step(self, now: int, memory: Memory, *, beat: bool) -> tuple[int, bool, bool]:
        """Move on; return (beats of the burst accepted, a request taken, a beat taken)."""
        accepted = self._on_bus if memory.awready else 0
        leaves = (
            self._stage > 0
            and (not self._on_bus or memory.awready)
            and self._open != OUTSTANDING_BURSTS
        )
        takes = beat and bool(self._bursts) and (not self.wvalid or memory.wready)
        if self.wvalid and memory.wready:
            self.beats += 1
            self.wvalid = False
        if takes:
            self.wvalid = True
            self._bursts[0] -= 1
            if not self._bursts[0]:
                self._bursts.popleft()
        if memory.awready:
            self._on_bus = 0
        if leaves:
            self._on_bus = self._stage
            self._bursts.append(self._stage)
        requested = 0
        if leaves or not self._stage:
            self._stage = requested = self._requests.take(now)
        self._open += leaves - memory.bvalid
        return accepted, requested > 0, takes
