"""Runs units in Amaranth's simulator, cycle by cycle, each run with a deadline."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.isa.encoding import layer_fields, pack_fields

Bench = Callable[[Any], Awaitable[None]]


PERIOD = 1e-6
"""Of the clock, in simulated seconds."""


class DeadlineError(AssertionError):
    """The run took more cycles than it may."""


def run_benches(
    dut: Any, *benches: Bench, deadline_cycles: int, background: Sequence[Bench] = ()
) -> None:
    """Run testbenches side by side until all have returned.

    Args:
        dut: The unit; driven by the clock of domain "sync".
        benches: Coroutines of a simulator context, as `Simulator.add_testbench` takes them.
        deadline_cycles: More is a failure.
        background: Benches that need not return.
    """

    async def watchdog(ctx: Any) -> None:
        await ctx.delay(deadline_cycles * PERIOD)
        raise DeadlineError(f"not finished after {deadline_cycles} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(PERIOD)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in (*background, watchdog):
        simulator.add_testbench(bench, background=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()


def member(dut: Any, path: str) -> Value:
    """Return a member of a unit by its dotted name, as one integer's worth of bits."""
    for name in path.split("."):
        dut = getattr(dut, name)
    return Value.cast(dut)


def run_fixed(
    dut: Any, inputs: Sequence[Mapping[str, int]], outputs: Sequence[str], *, drain: int = 0
) -> list[dict[str, int]]:
    """Drive a unit without handshakes; return the outputs of every cycle, before its edge.

    A result of latency L for the inputs of cycle k is in entry k + L. Views are given and returned
    as integers (`pack`, `unpack`).

    Args:
        dut: The unit.
        inputs: Dotted member names and values of each cycle; a member named in any cycle and not in
            this one is 0.
        outputs: Dotted member names.
        drain: Cycles to go on after the inputs, with all of them 0.
    """
    driven = {name: member(dut, name) for cycle in inputs for name in cycle}
    seen = {name: member(dut, name) for name in outputs}
    record: list[dict[str, int]] = []

    async def bench(ctx: Any) -> None:
        previous = dict.fromkeys(driven, 0)
        for cycle in (*inputs, *[{}] * drain):
            for name, value in driven.items():
                wanted = int(cycle.get(name, 0))
                if wanted != previous[name]:
                    ctx.set(value, wanted)
                    previous[name] = wanted
            record.append({name: ctx.get(value) for name, value in seen.items()})
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=len(inputs) + drain + 1)
    return record


def pack(values: NDArray[np.integer] | Sequence[int], bits: int) -> int:
    """Return integers as one, the first (in C order) at the lowest bits."""
    mask = (1 << bits) - 1
    packed = 0
    for value in reversed(np.asarray(values).reshape(-1).tolist()):
        packed = packed << bits | (value & mask)
    return packed


def unpack(
    packed: int, bits: int, shape: int | tuple[int, ...], *, signed: bool = True
) -> NDArray[np.int64]:
    """Return what `pack` packed."""
    mask, sign = (1 << bits) - 1, (1 << bits >> 1) if signed else 0
    count = int(np.prod(shape))
    values = [(((packed >> (i * bits)) & mask) ^ sign) - sign for i in range(count)]
    return np.array(values, dtype=np.int64).reshape(shape)


def layer_fields_word(config: OverlayConfig, **values: int) -> int:
    """Return the bits of a `Layer` whose fields are 0 but for those given."""
    fields = layer_fields(config)
    return pack_fields(fields, {field.name: values.get(field.name, 0) for field in fields})
