"""Runs a synthesised overlay against its RTL: every byte of the arena, every counter.

    python benchmarks/netlist_exactness.py --programs 20 --network det1 --mutants 3

The overlay (8 lanes, 2 x 1 x 4) is synthesised for ECP5 with the options of `tf2 build`; its
netlist (`ecp5_netlist`) and its RTL are verilated into the same harness with the same DDR. Both run
random programs, with layers, loads and stores of all kinds and random stalls on every channel, and
a network of ../shared/models on a random sample. A mutant is the netlist with one LUT inverted: the
random programs run on it until something differs. Exit code 1 where a byte or a counter of the
netlist differs, or no mutant was found.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ecp5_netlist import ecp5_netlist
from isa.random_programs import random_program
from overlay_exactness import MODELS, NETWORKS, samples_of
from tf2.arch import OverlayConfig
from tf2.compiler import CompiledRunner, compile_graph
from tf2.compression import compress
from tf2.errors import DeviceError
from tf2.importers import load_model
from tf2.isa.program import Program
from tf2.model_file import CompressionSettings
from tf2.sim.rtl import RtlOverlay, overlay_verilog
from tf2.sim.simulation import DdrSettings

CONFIG = OverlayConfig(
    name="2x1x4", outputs=2, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
    post_pixels=1, pool_groups=32, ddr_bytes=4,
)  # fmt: skip


WATCHDOG = 20_000
"""Cycles without progress, for both."""

DEADLINE = 4_000_000
"""Cycles of a run: a mutant may go on for ever."""


class Pair:
    """The RTL and the netlist of one overlay, run on the same programs.

    Attributes:
        compared: Bytes of arenas.
        differing: Bytes of arenas, and counters, that differ; a run that the netlist does not end
            is one.
        cycles: That the RTL took.
        seconds: That the netlist's simulation took.
    """

    def __init__(self, config: OverlayConfig, netlist: str) -> None:
        self._config = config
        self._netlist = netlist
        self.compared = self.differing = self.cycles = 0
        self.seconds = 0.0

    def devices(self, ddr: DdrSettings) -> None:
        """Put both behind a DDR."""
        self._rtl = self._overlay(ddr)
        with patch("tf2.sim.rtl.overlay_verilog", lambda config, progress: self._netlist):
            self._gates = self._overlay(ddr)

    def _overlay(self, ddr: DdrSettings) -> RtlOverlay:
        return RtlOverlay(self._config, ddr=ddr, watchdog=WATCHDOG, deadline=DEADLINE)

    def run(self, program: Program, arena: np.ndarray) -> None:
        """Run a program on both; the arena is then as the RTL leaves it."""
        other = arena.copy()
        expected = self._rtl.run(program, arena)
        self.cycles += expected.total.cycles
        self.compared += arena.size
        start = time.perf_counter()
        try:
            found = self._gates.run(program, other)
        except DeviceError:
            self.differing += 1
            return
        finally:
            self.seconds += time.perf_counter() - start
        self.differing += int(np.count_nonzero(arena != other))
        counters = zip(
            dataclasses.astuple(expected.total), dataclasses.astuple(found.total), strict=True
        )
        self.differing += sum(a != b for a, b in counters)

    def run_random(self, seed: int) -> None:
        """Run a random program, behind a DDR of random latency that stalls at random."""
        rng = np.random.default_rng(seed)
        self.devices(DdrSettings(latency=int(rng.integers(1, 60)), seed=seed,
                                 stalls_per_256=int(rng.integers(0, 200))))  # fmt: skip
        case = random_program(rng, self._config)
        self.run(case.program, case.arena)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--programs", type=int, default=20)
    arguments.add_argument("--network", default="det1", choices=NETWORKS)
    arguments.add_argument("--side", type=int, default=24, help="of the network's image")
    arguments.add_argument("--mutants", type=int, default=0)
    options = arguments.parse_args()

    start = time.perf_counter()
    verilog = overlay_verilog(CONFIG, lambda stage, share: None)
    netlist, cells = ecp5_netlist(verilog, top="overlay")
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(cells.items()))
    print(f"{CONFIG.name}: {listed}; {time.perf_counter() - start:.0f} s", flush=True)
    pair = Pair(CONFIG, netlist)
    for seed in range(options.programs):
        pair.run_random(seed)
    print(_line(f"{options.programs} random programs", pair), flush=True)

    network = Pair(CONFIG, netlist)
    network.devices(DdrSettings())
    _run_network(network, options.network, options.side)
    print(_line(f"{options.network} at {options.side} x {options.side}", network), flush=True)
    found = [_found(verilog, mutant, options.programs) for mutant in range(options.mutants)]
    return 1 if pair.differing or network.differing or (found and not any(found)) else 0


def _found(verilog: str, mutant: int, programs: int) -> bool:
    """Return whether one of the programs tells a mutant from the RTL."""
    netlist, _ = ecp5_netlist(verilog, top="overlay", broken=[mutant])
    pair = Pair(CONFIG, netlist)
    for seed in range(programs):
        pair.run_random(seed)
        if pair.differing:
            print(f"mutant {mutant}: found by program {seed}", flush=True)
            return True
    print(f"mutant {mutant}: not found", flush=True)
    return False


def _run_network(pair: Pair, name: str, side: int) -> None:
    network = NETWORKS[name]
    imported = load_model(
        str(MODELS / network.model),
        weights=None if network.weights is None else MODELS / network.weights,
        outputs=network.outputs,
        input_shapes=None if network.shape is None else [[*network.shape[:2], side, side]],
    )
    graph = imported.graph
    rows = samples_of(network, graph, 1)
    feeds = {graph.inputs[0]: rows}
    integer = compress(graph, [feeds], CompressionSettings(method="nearest")).graph
    compiled = compile_graph(integer, CONFIG)
    CompiledRunner(compiled, lambda segment, arena: pair.run(segment.program, arena))(feeds)


def _line(what: str, pair: Pair) -> str:
    return (
        f"{what}: {pair.compared:,} bytes and all counters compared, {pair.differing} differ; "
        f"{pair.cycles:,} cycles, netlist at {pair.cycles / pair.seconds / 1000:.1f} kHz"
    )


if __name__ == "__main__":
    sys.exit(main())
