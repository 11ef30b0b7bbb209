"""Small compiled networks with random inputs in their arenas."""

from typing import NamedTuple

import numpy as np

from compiler.random_graphs import random_graph
from tf2.arch import OverlayConfig
from tf2.compiler import compile_graph
from tf2.isa.program import Program
from tf2.sim.functional import FunctionalDevice


class Case(NamedTuple):
    """A program, and an arena with its inputs."""

    program: Program
    arena: np.ndarray


def compiled_case(seed: int, config: OverlayConfig, *, steps: int = 4) -> Case:
    """Return the first program of a random network."""
    rng = np.random.default_rng(seed)
    compiled = compile_graph(random_graph(rng, rank=2, steps=steps), config)
    program = compiled.arrays[0].program
    assert program.inputs
    assert program.outputs
    arena = program.arena()
    for port in program.inputs:
        features = rng.integers(-128, 128, port.shape).astype(np.int8)
        port.write(features, arena, config)
    return Case(program, arena)


def check(device, case: Case):
    """Run, compare what the program gives out with the functional overlay, return the report."""
    config = case.program.config
    expected, found = case.arena.copy(), case.arena.copy()
    FunctionalDevice(config).run(case.program, expected)
    report = device.run(case.program, found)
    for port in case.program.outputs:
        np.testing.assert_array_equal(port.read(found, config), port.read(expected, config))
    return report
