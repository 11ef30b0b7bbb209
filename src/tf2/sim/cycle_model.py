"""The cycles of a program without simulating it: layer by layer, filters and features in time."""

from __future__ import annotations

from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.isa.timing import layer_cycles
from tf2.sim.device import Counters, LayerRecord, RunReport
from tf2.sim.simulation import DdrSettings


def estimate_run(program: Program, ddr: DdrSettings) -> RunReport:
    """Return what a run takes when no layer waits for DDR."""
    del ddr
    records: list[LayerRecord] = []
    total = Counters()
    for layer in program.instructions:
        if not isinstance(layer, Layer):
            continue
        spent = Counters(
            cycles=layer_cycles(layer, program.config),
            busy=layer.out_groups * layer.groups * layer.kernel.length,
        )
        total = total.plus(spent)
        records.append(LayerRecord(name=layer.name, end=total.cycles, spent=spent))
    return RunReport(total=total, layers=tuple(records))
