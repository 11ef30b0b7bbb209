"""Loads and stores: rows between DDR and the Feature Buffer."""

from __future__ import annotations

from collections import deque

from tf2.arch import OverlayConfig
from tf2.isa.instructions import Load, Store
from tf2.sim.cycle_model.control import Control
from tf2.sim.cycle_model.memory import Memory, WriteMaster
from tf2.sim.cycle_model.port import Port
from tf2.sim.cycle_model.streams import Bursts, StretchReader

PREFETCH_BEATS = 128
ASKED_LOADS = 2
"""As of the `FeatureLoader`."""

HELD_BEATS = 8
READ_CYCLES = 3
"""As of the `FeatureStore` and the `FeatureBuffer`."""


class Loads:
    """Of `FeatureLoader`.

    Attributes:
        reader: Reads rows.
        done: Whether a load ended in this cycle.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._row_beats = config.row_beats
        self.reader = StretchReader(config.ddr_bytes, depth=PREFETCH_BEATS)
        self.done = False
        self._load: Load | None = None
        self._asks_at = 0
        self._asked: deque[int] = deque()  # rows of each
        self._row = self._beat = 0  # taken of the first load, of the row

    @property
    def idle(self) -> bool:
        """Whether there is no load."""
        return self._load is None and not self._asked

    @property
    def offers(self) -> bool:
        """Whether a row is there to be written."""
        return self.reader.queue.out and self._beat == self._row_beats - 1

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next but `rows_left`, relative to a cycle."""
        return (
            self._load, now >= self._asks_at, len(self._asked), self._beat,
            *self.reader.state(now),
        )  # fmt: skip

    @property
    def rows_left(self) -> int:
        """Rows of the first load that are not written."""
        return self._asked[0] - self._row if self._asked else 0

    def pass_over(self, rows: int) -> None:
        """Have written some rows more, but not the last."""
        self._row += rows

    def step(self, now: int, control: Control, port: Port, *, arrived: bool) -> bool:
        """Move on, with a beat that arrived; return whether anything moved."""
        moved = self._ask(now, control)
        self.done = taken = False
        if self.reader.queue.out:
            if self._beat < self._row_beats - 1:
                self._beat += 1
                taken = True
            else:
                moved = True  # or waits for the port, which changes
                taken = not port.busy(now)
                if taken:
                    self._beat = 0
                    self._row += 1
                    self.done = self._row == self._asked[0]
        if self.done:
            self._asked.popleft()
            self._row = 0
        return self.reader.step(pushed=arrived, taken=taken) or moved

    def _ask(self, now: int, control: Control) -> bool:
        if self._load is None:
            self._load = control.next_load(now)
            if self._load is None:
                return False
            control.take_load()
            self._asks_at = now + 2
        elif now >= self._asks_at:
            bursts = self.reader.bursts
            if len(self._asked) == ASKED_LOADS or not bursts.free(now):
                return False
            bursts.begin(now, self._load.address, self._load.rows * self._row_beats)
            self._asked.append(self._load.rows)
            self._load = None
        return True


class Stores:
    """Of `FeatureStore`, with its master.

    Attributes:
        bursts: What is to be written.
        master: Writes rows.
        rows_left: Of the store, not read yet.
        done: Whether a store ended in this cycle.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._row_beats = config.row_beats
        self.bursts = Bursts(config.ddr_bytes)
        self.master = WriteMaster(self.bursts)
        self.done = False
        self._store: Store | None = None
        self._runs_at = 0
        self._unanswered = 0
        self.rows_left = 0
        self._room = max(2, -(-HELD_BEATS // config.row_beats))
        self._read: deque[int] = deque()  # the cycle from which each row that was read is there
        self._beat = 0

    def state(self, now: int) -> tuple[object, ...]:
        """Return all that decides what comes next but `rows_left`, relative to a cycle."""
        return (
            self._store, now >= self._runs_at, self._unanswered, self._room, self._beat,
            self.rows_left > 0, tuple(time - now for time in self._read),
            *self.bursts.state(now), *self.master.state(),
        )  # fmt: skip

    def pass_over(self, rows: int, cycles: int) -> None:
        """Have read some rows more, but not the last; be as many cycles later."""
        self.rows_left -= rows
        self._read = deque(time + cycles for time in self._read)

    @property
    def idle(self) -> bool:
        """Whether there is no store."""
        return self._store is None and self.master.idle

    def step(
        self, now: int, control: Control, port: Port, memory: Memory, *, port_taken: bool
    ) -> tuple[int, bool]:
        """Move on; return (beats of the burst accepted, whether anything moved)."""
        self.done = False
        if self.idle:
            self._store = control.next_store(now)
            if self._store is None:
                return 0, False
            control.take_store()
            self._runs_at = now + 3
            return 0, True
        moved = self._run(now, control)
        accepted, requested, beat = self.master.step(
            now, memory, beat=bool(self._read) and self._read[0] <= now
        )
        moved = moved or accepted > 0 or requested or beat
        moved = moved or (bool(self._read) and self._read[-1] > now)
        room = self._room
        if beat:
            self._beat += 1
            if self._beat == self._row_beats:
                self._beat = 0
                self._read.popleft()
                self._room += 1
        self._unanswered += requested - memory.bvalid
        if self.rows_left and now >= self._runs_at and room:
            moved = True  # or waits for the port, which changes
            if not port_taken and not port.busy(now):
                self.rows_left -= 1
                self._room -= 1
                self._read.append(now + READ_CYCLES + 1)
        return accepted, moved or memory.bvalid

    def _run(self, now: int, control: Control) -> bool:
        """Begin and end stores."""
        store = self._store
        if store is None:
            self._store = control.next_store(now)
            if self._store is None:
                return False
            control.take_store()
            self._runs_at = now + 3
        elif now == self._runs_at - 1:
            self.bursts.begin(now, store.address, store.rows * self._row_beats)
            self.rows_left = store.rows
        elif now >= self._runs_at:
            if not self.bursts.free(now) or self._unanswered:
                return False
            self.done = True
            self._store = None
        return True
