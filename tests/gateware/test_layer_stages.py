from __future__ import annotations

import pytest
from bench import layer_fields_word, run_benches
from layer_bench import CONFIGS

from tf2.gateware.layer_register import LayerRegister
from tf2.gateware.layer_stages import LayerStages

CONFIG = CONFIGS["small"]
LAYERS = [layer_fields_word(CONFIG, raw_rows=n, opcode=n, in_height=n) for n in range(1, 5)]
"""Fields all over the word, a number each."""


def test_a_register_keeps_the_layer_that_is_there_a_cycle_after_take():
    dut = LayerRegister(CONFIG)

    async def bench(ctx):
        kept = 0
        takes = [0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0]
        for cycle, take in enumerate(takes):
            ctx.set(dut.take, take)
            ctx.set(dut.layer.raw_rows, 100 + cycle)
            ctx.set(dut.layer.opcode, 100 + cycle)
            started = cycle >= LayerRegister.LATENCY and takes[cycle - LayerRegister.LATENCY]
            kept = 99 + cycle if started else kept
            assert ctx.get(dut.start) == started
            assert ctx.get(dut.cfg.raw_rows) == ctx.get(dut.cfg.opcode) == kept
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=20)


@pytest.mark.parametrize(("sums_after", "bytes_after"), [(2, 1), (13, 20)])
def test_stages_change_to_a_layer_in_the_cycle_in_which_its_first_group_comes(
    rng, sums_after, bytes_after
):
    dut = LayerStages(CONFIG, sums_after=sums_after, bytes_after=bytes_after)
    ends, pops = [], []  # of each layer: the cycle of its first group's end, of leaving the queue
    latency = sums_after + bytes_after

    async def bench(ctx):
        cycle = groups = 0
        starts_at = None
        while len(pops) < len(LAYERS) or cycle < pops[-1] + 5:
            waiting = len(pops) < len(LAYERS) and cycle not in (pop + 1 for pop in pops)
            ctx.set(dut.layers.valid, waiting)
            ctx.set(dut.layers.payload.as_value(), LAYERS[len(pops)] if waiting else 0)
            taking = bool(ctx.get(dut.offered.valid)) and rng.random() < 0.5
            ctx.set(dut.offered.ready, taking)
            if taking:
                assert ctx.get(dut.offered.payload.opcode) == len(ends) + 1
                starts_at, groups = cycle + 1, 0
            ctx.set(dut.start, cycle == starts_at)
            issues = starts_at is not None and cycle > starts_at and groups < 5
            last = bool(rng.random() < 0.4)
            ctx.set(dut.issue.valid, issues)
            ctx.set(dut.issue.last, last)
            if issues and last:
                if groups == 0:
                    ends.append(cycle)
                groups += 1
            if ctx.get(dut.layers.ready):
                pops.append(cycle)
            for stage, start, late in (
                (dut.post, dut.post_start, sums_after),
                (dut.finish, dut.finish_start, latency),
            ):
                reached = sum(cycle >= end + late for end in ends)
                assert ctx.get(stage.opcode) == ctx.get(stage.raw_rows) == reached
                assert ctx.get(start) == (cycle - late in ends)
            cycle += 1
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=2000)
    assert pops == [end + latency - 1 for end in ends]
    assert len(ends) == len(LAYERS)
