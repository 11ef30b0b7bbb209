"""A frame on a whole simulated board, held against the engine "int" and the cycle model.

    python benchmarks/simulated_board.py MODEL.tf2 --board ecpix5-85f --overlay test-small
    python benchmarks/simulated_board.py MODEL.tf2 --board ecpix5-85f --overlay FILE.json

Board, memory controller, DRAM model and host link are simulated clock by clock; the host's driver
is the one for real boards. Prints one JSON object for each sample: what the overlay counted, what
the cycle model gives for the memory that `tf2 build` reckons with (the board's peak), and frames a
second at the board's clock, host link not counted.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from tf2.engines import Session
from tf2.engines.array_engines import overlay_config
from tf2.flow import estimate
from tf2.ir import Graph
from tf2.platforms import board_of
from tf2.runtime import BoardDevice
from tf2.runtime.simulated_board import SimulatedStream, simulated_link
from tf2.sim.device import Counters, Device, RunReport
from tf2.sim.simulation import DdrSettings


class Watched:
    """A device that keeps its reports."""

    def __init__(self, device: Device) -> None:
        self.config = device.config
        self.reports: list[RunReport] = []
        self._device = device

    def run(self, program, arena) -> RunReport:
        """Run on the device."""
        self.reports.append(self._device.run(program, arena))
        return self.reports[-1]


def feeds_of(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return one random sample."""
    feeds = {}
    for name in graph.inputs:
        shape = (1, *graph.shape(name)[1:])
        feeds[name] = rng.standard_normal(shape).astype(np.float32)
    return feeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .tf2 file")
    parser.add_argument("--board", default="ecpix5-85f")
    parser.add_argument("--overlay", default="test-small")
    parser.add_argument("--samples", type=int, default=2)
    arguments = parser.parse_args()

    config = overlay_config(arguments.overlay)
    share = min(1.0, board_of(arguments.board).memory_bytes_a_cycle / config.ddr_bytes)
    model = estimate(arguments.model, config, ddr=DdrSettings(beats_per_256=int(256 * share))).total
    stream = SimulatedStream(arguments.board, config)
    device = Watched(BoardDevice(stream.design, lambda: simulated_link(stream), timeout_s=3600))
    board = Session(arguments.model, "board", board=device)
    reference = Session(arguments.model, "int", threads=1)
    rng = np.random.default_rng(0)
    for sample in range(arguments.samples):
        feeds = feeds_of(board.graph, rng)
        start, before = time.monotonic(), stream.cycles
        found = board.run(None, feeds)
        seconds, clocks = time.monotonic() - start, stream.cycles - before
        expected = reference.run(None, feeds)
        total = Counters()
        for report in device.reports:
            total = total.plus(report.total or Counters())
        device.reports.clear()
        print(
            json.dumps(
                {
                    "board": arguments.board,
                    "overlay": config.name,
                    "sample": sample,
                    "equal": all(map(np.array_equal, found, expected)),
                    "overlay_cycles": total.cycles,
                    "model_cycles": model.cycles,
                    "frames_per_second": round(stream.design.clock_hz / total.cycles, 2),
                    "busy": total.busy,
                    "stall_filter": total.stall_filter,
                    "waiting": total.waiting,
                    "read_beats": total.ddr_read_beats,
                    "write_beats": total.ddr_write_beats,
                    "board_cycles": clocks,
                    "seconds": round(seconds, 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
