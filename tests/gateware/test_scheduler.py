from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from bench import run_benches
from layer_bench import CONFIGS, issues, layer_bits

from isa.overlay_layers import random_layer
from tf2.gateware.scheduler import Scheduler
from tf2.gateware.signatures import FREE_DELAY, row_bits
from tf2.isa.timing import TELL
from tf2.isa.walk import walk


class Record:
    """The Scheduler's outputs, cycle by cycle, over some layers."""

    def __init__(self, config, layers, *, arrive, write_delay, gap):
        """Run; words arrive with a probability, `write_delay` and `gap` give random cycles."""
        self.config, self.layers = config, layers
        self.issues, self.stalls, self.freed, self.taken, self.done = [], [], [], [], []
        self.waiting = 0
        dut = Scheduler(config)
        total = sum(layer.out_groups * layer.kernel.length for layer in layers)
        left = [len(issues(layer)) for layer in layers]
        modulus = 2 * config.filter_words

        async def bench(ctx):
            loaded = freed = seen = 0
            offered, hold, writes = 0, gap(), []
            for cycle in range(100000):
                if loaded < total and loaded - freed < config.filter_words and arrive():
                    loaded += 1
                ctx.set(dut.filters_loaded, loaded % modulus)
                behind = offered - len(self.done)  # the queue holds the last one taken longer
                offer = offered < len(layers) and hold == 0 and behind < 2
                ctx.set(dut.layers.valid, offer)
                if offer:
                    ctx.set(dut.layers.payload.as_value(), layer_bits(layers[offered], config))
                ctx.set(dut.written, cycle in writes)
                hold = max(hold - 1, 0)
                if offer and ctx.get(dut.layers.ready):
                    self.taken.append(cycle)
                    offered, hold, seen = offered + 1, gap(), 0
                if ctx.get(dut.layer_done):
                    self.done.append(cycle)
                if ctx.get(dut.issue.valid):
                    seen += 1
                    names = ("last", "address", "slot", "group_first", "group_last")
                    taps = ("bank", "row", "y", "x")
                    self.issues.append((
                        cycle,
                        {name: ctx.get(getattr(dut.issue, name)) for name in names},
                        {name: ctx.get(getattr(dut.tap, name)) for name in taps},
                    ))  # fmt: skip
                    if seen == left[offered - 1]:
                        writes.append(cycle + 1 + write_delay())
                if ctx.get(dut.stall_filter):
                    self.stalls.append(cycle)
                self.waiting += ctx.get(dut.waiting)
                count = ctx.get(dut.filters_freed)
                freed += (count - freed) % modulus
                self.freed.append(freed)
                if len(self.done) == len(layers):
                    return
                await ctx.tick()

        run_benches(dut, bench, deadline_cycles=60000)


def some_layers(rng, config, count=4, **wanted):
    return [random_layer(rng, config, max_cycles=300, **wanted).layer for _ in range(count)]


def check_issues(record):
    """What is issued is the loops of the layers, whatever the times."""
    config = record.config
    expected, words, block_count = [], 0, 0
    for layer in record.layers:
        kernel, source = layer.kernel, layer.input
        for block, group, (z, y, x, word) in issues(layer):
            k = ((z * kernel.y + y) * kernel.x + x) * kernel.words + word
            plane = (block // kernel.word_every) * kernel.word_step + word
            position = y * kernel.dilation_y * source.pitch + x * kernel.dilation_x
            rows, bank = divmod(position, config.pixels)
            rows += plane * source.plane_rows + z * source.slice_rows
            expected.append((
                {
                    "last": k == kernel.length - 1,
                    "address": (words + block * kernel.length + k) % config.filter_words,
                    "slot": (block_count + block) % config.parameter_slots,
                    "group_first": group == 0,
                    "group_last": group == layer.groups - 1,
                },
                {
                    "bank": bank,
                    "row": rows % (1 << row_bits(config)),
                    "y": y * kernel.dilation_y,
                    "x": x * kernel.dilation_x,
                },
            ))  # fmt: skip
        words += layer.out_groups * kernel.length
        block_count += layer.out_groups
    assert [(issue, tap) for _, issue, tap in record.issues] == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_issues_a_word_a_cycle_and_a_group_an_interval(rng, name):
    config = CONFIGS[name]
    layers = some_layers(rng, config)
    ample = Record(config, layers, arrive=lambda: True, write_delay=lambda: 7, gap=lambda: 0)
    check_issues(ample)
    expected = []
    for layer, taken in zip(layers, ample.taken, strict=True):
        interval, length = walk(layer, config).interval, layer.kernel.length
        begin = taken + Scheduler.START_LATENCY
        expected += [
            begin + group * interval + k
            for group in range(layer.out_groups * layer.groups)
            for k in range(length)
        ]
    times = [cycle for cycle, _, _ in ample.issues]
    # Words arrive one a cycle: only the very first one may be late.
    assert times == expected
    assert not ample.stalls
    ends = [cycle + Scheduler.TAKE_LATENCY for cycle in ample.done[:-1]]
    assert ample.taken[1:] == ends, "the next layer is taken as the last one ends"
    assert ample.waiting == 1


@pytest.mark.parametrize("name", ["small", "one pixel"])
def test_begins_the_next_layer_while_the_one_before_is_written(rng, name):
    config = CONFIGS[name]
    starts = [0, TELL, TELL + 1, 17, 200, 0]
    layers = [
        replace(layer, start_after=start)
        for layer, start in zip(some_layers(rng, config, len(starts)), starts, strict=True)
    ]
    written = 60
    record = Record(config, layers, arrive=lambda: True, write_delay=lambda: written, gap=lambda: 0)
    check_issues(record)
    counts = np.cumsum([len(issues(layer)) for layer in layers])
    times = [cycle for cycle, _, _ in record.issues]
    late = 1 + written + Scheduler.TAKE_LATENCY + Scheduler.START_LATENCY
    gaps = [times[first] - times[first - 1] for first in counts[:-1]]
    done = [record.done[k + 1] - record.done[k] for k in range(len(layers) - 1)]
    assert gaps[:3] == starts[1:4]
    assert gaps[3:] == [late, late], "it begins when the one before is written, at the latest"
    assert done == [times[b - 1] - times[a - 1] for a, b in pairwise(counts)]
    assert record.waiting == 1


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [0.02, 0.15])
def test_stalls_take_exactly_their_cycles_and_change_nothing(rng, name, rate):
    config = CONFIGS[name]
    layers = some_layers(rng, config)
    record = Record(
        config,
        layers,
        arrive=lambda: rng.random() < rate,
        write_delay=lambda: int(rng.integers(1, 20)),
        gap=lambda: int(rng.integers(0, 10)),
    )
    check_issues(record)
    assert record.stalls
    at = 0
    for number, layer in enumerate(layers):
        count = len(issues(layer))
        mine = [cycle for cycle, _, _ in record.issues[at : at + count]]
        at += count
        interval, length = walk(layer, config).interval, layer.kernel.length
        undisturbed = [
            record.taken[number] + Scheduler.START_LATENCY + group * interval + k
            for group in range(layer.out_groups * layer.groups)
            for k in range(length)
        ]
        for cycle, ideal in zip(mine, undisturbed, strict=True):
            # An issue is decided a cycle before it is seen.
            earlier = sum(record.taken[number] < stall < cycle for stall in record.stalls)
            assert cycle == ideal + earlier


def test_words_are_given_back_after_their_last_issue(rng):
    config = CONFIGS["small"]
    record = Record(
        config,
        some_layers(rng, config),
        arrive=lambda: rng.random() < 0.7,
        write_delay=lambda: 9,
        gap=lambda: 0,
    )
    uses = [cycle for cycle, issue, _ in record.issues if issue["group_last"]]
    for cycle, freed in enumerate(record.freed):
        assert freed == sum(use <= cycle - FREE_DELAY for use in uses)


def test_a_kernel_longer_than_the_filter_cache_streams_through_it(rng):
    config = CONFIGS["five pixels"]
    case = random_layer(rng, config, full=True)
    while case.layer.kernel.length <= config.filter_words:
        case = random_layer(rng, config, max_cycles=4000)
    record = Record(config, [case.layer], arrive=lambda: True, write_delay=lambda: 3, gap=lambda: 2)
    check_issues(record)
