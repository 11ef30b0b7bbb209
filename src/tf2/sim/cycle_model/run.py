"""A run: all parts of the twin, cycle by cycle, over what nothing moves in at once."""

from __future__ import annotations

from tf2.errors import DeviceError
from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.sim.cycle_model.array import Array
from tf2.sim.cycle_model.control import Control
from tf2.sim.cycle_model.features import Loads, Stores
from tf2.sim.cycle_model.filters import Filters
from tf2.sim.cycle_model.memory import Memory, ReadMaster
from tf2.sim.cycle_model.periods import Periods
from tf2.sim.cycle_model.streams import StretchReader
from tf2.sim.device import Counters, RunReport, layer_records
from tf2.sim.simulation import DdrSettings


def estimate_run(program: Program, ddr: DdrSettings) -> RunReport:
    """Return what `tf2.sim.rtl` would report of a run, but for random stalls.

    Args:
        program: One that `tf2.isa.verify` accepts.
        ddr: The memory; faults and stalls are left out.

    Raises:
        DeviceError: The program waits for what never comes.
    """
    return _Run(program, ddr).report()


class _Run:
    """The parts, in the order in which they see each other's cycle: who reads before who writes."""

    def __init__(self, program: Program, ddr: DdrSettings) -> None:
        self._program = program
        self._memory = Memory(ddr)
        self._control = Control(program)
        self._array = Array(program.config)
        self._loads = Loads(program.config)
        self._stores = Stores(program.config)
        self._filters = Filters(program)
        # As the overlay's: a lower one goes first.
        self._reads = ReadMaster((self._control.code, self._loads.reader, self._filters.reader))
        self._periods = Periods(
            self._memory, self._reads, self._control, self._array, self._loads, self._stores,
            self._filters,
        )  # fmt: skip
        self._accepted = False  # a burst, by the memory
        self._marks: list[Counters] = []
        self._written = 0  # beats of the burst of writes that is accepted in this cycle

    def report(self) -> RunReport:
        """Run to the end."""
        program, now = self._program, 0
        kinds = [type(i) for i in program.instructions]
        layers = kinds.count(Layer)
        transfers = len(kinds) - layers - 1
        control, done = self._control, self._control.done
        while True:
            ended = control.ended is not None and now >= control.ended
            if ended and done.layers == layers and done.loads + done.stores == transfers:
                break
            moved = self._step(now) or not now  # in the first one readers take their stretches
            now = now + 1 if moved else self._skip(now)
            if self._accepted:
                now = self._periods.pass_over(now)
        self._step(now)
        total = self._counters(now)
        return RunReport(total=total, layers=layer_records(program, self._marks))

    def _step(self, now: int) -> bool:
        """Let one cycle pass; return whether anything moved."""
        memory, control, array, reads = self._memory, self._control, self._array, self._reads
        arrived, wvalid = reads.arrived, self._stores.master.wvalid
        asked, moved = reads.ask(now, memory)
        layer_done = array.finish(now)
        if array.issues:
            moved |= array.step(now, self._filters.loaded)
        else:
            layer = control.next_layer()
            if layer is not None and array.begins(now, layer):
                array.take(now, layer)
                control.begin_layer()
                moved = True
        taken = array.passes(now)
        if control.moves or taken or arrived is control.code:
            moved |= control.step(now, arrived=arrived is control.code, layer_taken=taken)
        moved |= self._move_rows(now, arrived)
        moved |= self._filters.step(
            now, array, control.blocks, arrived=arrived is self._filters.reader
        )
        reads.answer(memory)
        moved |= memory.rvalid or arrived is not None
        self._accepted = bool(asked or self._written)
        moved |= memory.step(now, asked, self._written, wvalid=wvalid)
        if layer_done or self._loads.done or self._stores.done:
            self._count(now, layer_done=layer_done)
            return True
        return moved

    def _move_rows(self, now: int, arrived: StretchReader | None) -> bool:
        """Let the cycle pass for loads and stores; return whether anything moved."""
        control, loads, stores = self._control, self._loads, self._stores
        port = self._array.port
        offers = moved = False
        loads.done = stores.done = False
        self._written = 0
        if control.loads or not loads.idle:
            offers = loads.offers
            moved = loads.step(now, control, port, arrived=arrived is loads.reader)
        if control.stores or not stores.idle:
            self._written, stored = stores.step(now, control, port, self._memory, port_taken=offers)
            moved |= stored
        return moved

    def _count(self, now: int, *, layer_done: bool) -> None:
        """Count what ended in a cycle, as it is seen in the next."""
        done = self._control.done
        done.layers += layer_done
        done.loads += self._loads.done
        done.stores += self._stores.done
        if layer_done:
            self._marks.append(self._counters(now))

    def _counters(self, now: int) -> Counters:
        """Return what was counted up to and with a cycle."""
        array = self._array
        return Counters(
            cycles=now + 1,
            busy=array.busy(now),
            stall_filter=array.stall_filter(now),
            waiting=array.waiting(now),
            ddr_read_beats=self._reads.beats,
            ddr_write_beats=self._stores.master.beats,
        )

    def _skip(self, now: int) -> int:
        """Return the next cycle in which anything can move, and be there."""
        array = self._array
        changes = (
            self._memory.next_change(now),
            array.next_change(now),
            self._filters.next_room(now, array),
        )
        times = [time for time in changes if time is not None]
        later = max(now + 1, min(times, default=0))
        if not times:
            raise DeviceError("the program waits for what never comes")
        self._memory.pass_over(later - now - 1)
        return later
