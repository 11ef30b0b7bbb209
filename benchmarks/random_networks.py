"""Random networks, compiled, run by the RTL and held against the golden interpreter to the byte.

    python benchmarks/random_networks.py --networks 1000

Each network has up to 8 operators on maps of 1, 2 or 3 dimensions with odd sizes: convolutions of
any kernel, stride, pad, dilation and groups, fully connected layers, adds, pools, concatenations,
moves of channels, crops and pads. It is compiled for one of the five overlays of
`rtl_exactness.py`; its outputs and a fifth of the values between are compared; DDR stalls at random
on every channel. Exit code 1 where a byte differs or a program fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np
from rich.console import Console
from rich.progress import track

from rtl_exactness import CONFIGS, DEADLINE, stalling
from tf2.arch import OverlayConfig
from tf2.compiler import CompiledRunner, compile_graph
from tf2.errors import DoesNotFitError, Tf2Error
from tf2.execution import interpret
from tf2.isa.verify import verify
from tf2.sim.rtl import RtlOverlay

from compiler.random_graphs import random_graph  # isort: skip  (rtl_exactness adds tests/)


def differing_elements(seed: int, config: OverlayConfig, count: Counter[str]) -> int:
    """Return in how many elements a random network differs between RTL and interpreter."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    graph = random_graph(rng, rank=rank, steps=int(rng.integers(1, 9)))
    feeds = {"x": rng.integers(-128, 128, graph.shape("x")).astype(np.int8)}
    watch = [v for node in graph.nodes for v in node.outputs if rng.random() < 0.2]
    try:
        wanted = interpret(graph, feeds, [*graph.outputs, *watch])
    except OverflowError:  # int32 is what the arithmetic is defined for
        count["beyond int32"] += 1
        return 0
    try:
        compiled = compile_graph(graph, config, watch=watch)
    except DoesNotFitError:
        count["do not fit"] += 1
        return 0
    for segment in compiled.arrays:
        verify(segment.program)
    device = RtlOverlay(config, ddr=stalling(rng, seed), deadline=DEADLINE)
    runner = CompiledRunner(compiled, lambda segment, arena: device.run(segment.program, arena))
    found = runner(feeds, watch)
    if set(graph.outputs) - set(found):
        raise AssertionError(f"seed {seed}: outputs are missing")
    count["compared"] += 1
    count["nodes"] += len(graph.nodes)
    count["programs"] += len(compiled.arrays)
    count["elements"] += sum(array.size for array in found.values())
    return sum(int((array != wanted[value]).sum()) for value, array in found.items())


def main() -> int:
    """Run the networks; 1 where something differs or fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=1000, help="that fit, to compare")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count: Counter[str] = Counter()
    wrong, seed, start = 0, options.seed, time.perf_counter()
    for _ in track(range(options.networks), "networks", console=Console(stderr=True)):
        tried = count["compared"] + count["failed"]
        while count["compared"] + count["failed"] == tried:
            config = CONFIGS[seed % len(CONFIGS)]
            try:
                differ = differing_elements(seed, config, count)
            except Tf2Error as error:  # not compiled, refused by the verifier, or stuck
                print(f"seed {seed}, {config.name}: {error}")
                count["failed"] += 1
                differ = 0
            if differ:
                print(f"seed {seed}, {config.name}: {differ} elements differ")
            wrong += differ
            seed += 1
    print(f"{dict(count)}: {wrong} elements differ; {time.perf_counter() - start:.0f} s")
    return int(bool(wrong or count["failed"]))


if __name__ == "__main__":
    sys.exit(main())
