"""A frame on a whole simulated board, held against the engine "int".

    python benchmarks/simulated_board.py MODEL.tf2 --board ecpix5-85f --overlay test-small

Board, memory controller, DRAM model and host link are simulated clock by clock; the host's driver
is the one for real boards. Prints one JSON object for each sample.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from tf2.arch import named_config
from tf2.engines import Session
from tf2.ir import Graph
from tf2.runtime import BoardDevice
from tf2.runtime.simulated_board import SimulatedStream, simulated_link
from tf2.sim.device import Device, RunReport


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

    stream = SimulatedStream(arguments.board, named_config(arguments.overlay))
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
        total = device.reports[-1].total
        assert total is not None
        print(
            json.dumps(
                {
                    "board": arguments.board,
                    "overlay": arguments.overlay,
                    "sample": sample,
                    "equal": all(map(np.array_equal, found, expected)),
                    "overlay_cycles": total.cycles,
                    "busy": total.busy,
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
