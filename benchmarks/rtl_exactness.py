"""Runs random programs on the RTL and functionally, and counts the bytes that differ.

    python benchmarks/rtl_exactness.py --programs 1000

Every program has layers of all kinds, loads and stores in between, and runs over a DDR with random
stalls on every channel; the whole arena is compared, and with it every row of the Feature Buffer
that the program could touch, which it stores at its end. Exit code 1 where a byte differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from isa.random_programs import random_program
from tf2.arch import OverlayConfig, named_config
from tf2.errors import Tf2Error
from tf2.sim.functional import FunctionalDevice
from tf2.sim.rtl import RtlOverlay
from tf2.sim.simulation import DdrSettings

CONFIGS = (
    named_config("test-small"),
    named_config("test-mac"),
    OverlayConfig(name="p5", outputs=8, pixels=5, inputs=8, feature_rows=512, filter_words=64,
                  post_pixels=5, pool_groups=16, ddr_bytes=32),
    OverlayConfig(name="p1", outputs=1, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
                  post_pixels=1, pool_groups=64, ddr_bytes=4),
    OverlayConfig(name="p7-parts4", outputs=2, pixels=7, inputs=8, feature_rows=512,
                  filter_words=64, post_pixels=3, pool_groups=16, ddr_bytes=8),
)  # fmt: skip
DEADLINE = 200_000


def stalling(rng: np.random.Generator, seed: int) -> DdrSettings:
    """Return a memory of random latency and bandwidth that stalls at random."""
    return DdrSettings(
        latency=int(rng.integers(1, 60)), stalls_per_256=int(rng.integers(0, 200)),
        beats_per_256=int(rng.integers(64, 257)), seed=seed,
    )  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--programs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--layers", type=int, default=4)
    options = arguments.parse_args()
    differing = failed = bytes_compared = cycles = 0
    start = time.perf_counter()
    for done, seed in enumerate(range(options.seed, options.seed + options.programs)):
        if done % 50 == 0:
            print(f"{done} programs, {time.perf_counter() - start:.0f} s", file=sys.stderr)
        config = CONFIGS[seed % len(CONFIGS)]
        rng = np.random.default_rng(seed)
        case = random_program(rng, config, layers=options.layers)
        ddr = stalling(rng, seed)
        expected, found = case.arena.copy(), case.arena.copy()
        FunctionalDevice(config).run(case.program, expected)
        try:
            report = RtlOverlay(config, ddr=ddr, deadline=DEADLINE).run(case.program, found)
            cycles += report.cycles or 0
        except Tf2Error as error:
            failed += 1
            print(f"seed {seed}, {config.name}: {error}")
            continue
        bytes_compared += found.size
        wrong = int((found != expected).sum())
        differing += wrong
        if wrong:
            print(f"seed {seed}, {config.name}: {wrong} bytes differ")
    print(
        f"{options.programs} programs, {options.programs * options.layers} layers, {cycles} cycles,"
        f" {bytes_compared} bytes compared: {differing} differ, {failed} programs failed; "
        f"{time.perf_counter() - start:.0f} s"
    )
    return int(bool(differing or failed))


if __name__ == "__main__":
    sys.exit(main())
