from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from bench import run_benches
from layer_bench import CONFIGS, content, fill, layer_bits

from isa.overlay_layers import LayerCase, random_features, random_layer, with_filters
from tf2.arch import NAMED
from tf2.compiler.hazards import with_starts
from tf2.gateware.array_core import ArrayCore
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.feature_read import FeatureRead
from tf2.gateware.feature_writer import FeatureWriter
from tf2.gateware.finish import Finish
from tf2.gateware.pe import PE
from tf2.gateware.post_process import LOOKAHEAD, PostProcess
from tf2.gateware.scheduler import Scheduler
from tf2.isa import InputMap, Kernel, Layer, OutputMap
from tf2.isa.filters import block_bytes
from tf2.isa.overlap import late_start
from tf2.isa.timing import READ_TAKEN, TELL, announce_cycles, layer_cycles, sum_cycles
from tf2.sim.functional import FunctionalOverlay


@dataclass
class Filters:
    """A Filter Loader: words of the stream when there is room, one a cycle or now and then."""

    config: object
    cases: list[LayerCase]
    rate: float
    rng: np.random.Generator
    loaded: int = 0
    queue: list = field(default_factory=list)

    def __post_init__(self):
        config = self.config
        slot = word = 0
        for case in self.cases:
            length = case.layer.kernel.length
            size = block_bytes(length, config)
            for block in range(case.layer.out_groups):
                data = case.filters[block * size : (block + 1) * size]
                parameters = int.from_bytes(data[: 8 * config.outputs], "little")
                self.queue.append(("parameters", slot % config.parameter_slots, parameters))
                slot += 1
                at = config.parameter_words * config.filter_word_bytes
                for _ in range(length):
                    bits = int.from_bytes(data[at : at + config.filter_word_bytes], "little")
                    self.queue.append(("word", word % config.filter_words, bits))
                    word, at = word + 1, at + config.filter_word_bytes

    async def run(self, ctx, dut):
        modulus = 2 * self.config.filter_words
        freed, slots = 0, self.config.parameter_slots
        at = 0
        while True:
            ctx.set(dut.filter_write.en, 0)
            ctx.set(dut.parameter_write.en, 0)
            ctx.set(dut.filters_loaded, self.loaded % modulus)
            freed += (ctx.get(dut.filters_freed) - freed) % modulus
            slots += ctx.get(dut.block_done)
            if at < len(self.queue) and self.rng.random() < self.rate:
                what, place, bits = self.queue[at]
                if what == "parameters" and slots:
                    ctx.set(dut.parameter_write.en, 1)
                    ctx.set(dut.parameter_write.slot, place)
                    ctx.set(dut.parameter_write.parameters.as_value(), bits)
                    slots, at = slots - 1, at + 1
                elif what == "word" and self.loaded - freed < self.config.filter_words:
                    ctx.set(dut.filter_write.en, 1)
                    ctx.set(dut.filter_write.address, place)
                    ctx.set(dut.filter_write.word.as_value(), bits)
                    self.loaded, at = self.loaded + 1, at + 1
            await ctx.tick()


def run_layers(rng, config, cases, *, rate, traffic):
    """Run layers on the core and on the functional overlay; compare memories after each.

    Return the cycles from the end of a layer to the end of the next.
    """
    features = random_features(rng, config)
    stream = b"".join(case.filters for case in cases)
    oracle = FunctionalOverlay(config, np.frombuffer(stream, np.uint8).copy(), 0)
    oracle.features[:] = features
    dut = ArrayCore(config)
    loader = Filters(config, cases, rate, rng)
    ends = []
    now = 0

    async def bench(ctx):
        nonlocal now
        fill(ctx, dut.buffer, features)
        compare_at = None
        while len(ends) < len(cases) or compare_at is not None:
            if ctx.get(dut.layer_done):
                ends.append(now)
                compare_at = now + FeatureBuffer.LATENCY  # the last write is under way
            if now == compare_at:
                compare_at, case = None, cases[len(ends) - 1]
                oracle.execute(case.layer)
                different = content(ctx, dut.buffer, features.shape) != oracle.features
                assert not different.any(), (
                    f"layer {len(ends) - 1}, first (row, bank, byte) of {different.sum()}: "
                    f"{np.argwhere(different)[0]}; {case.layer}"
                )
            now += 1
            await ctx.tick()

    async def layers(ctx):
        for case in cases:
            ctx.set(dut.layers.payload.as_value(), layer_bits(case.layer, config))
            ctx.set(dut.layers.valid, 1)
            taken = False
            while not taken:  # not `until`: it cannot be left when a comparison fails
                *_, taken = await ctx.tick().sample(dut.layers.ready)
            ctx.set(dut.layers.valid, 0)

    async def loads(ctx):
        await loader.run(ctx, dut)

    async def stores(ctx):
        """Read rows nearly all the time: it must not disturb."""
        while traffic:
            ctx.set(dut.row_read.request.valid, int(rng.random() < 0.7))
            ctx.set(dut.row_read.request.payload, int(rng.integers(config.feature_rows)))
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=40000, background=(layers, loads, stores))
    return np.diff(ends)


def overlapping(cases, config):
    """Let each layer begin as soon as it may."""
    layers = with_starts([case.layer for case in cases], config)
    return [replace(case, layer=layer) for case, layer in zip(cases, layers, strict=True)]


@pytest.mark.parametrize(
    ("name", "rate", "overlaps"),
    [("small", 1.0, False), ("small", 1.0, True), ("five pixels", 0.3, True)],
)
def test_random_layers_leave_the_bytes_that_the_instruction_set_says(rng, name, rate, overlaps):
    config = CONFIGS[name]
    cases = [random_layer(rng, config, max_cycles=120, full=i != 0) for i in range(3)]
    cases.append(random_layer(rng, config, max_cycles=120, residual=True, pool=None))
    cases = overlapping(cases, config) if overlaps else cases
    run_layers(rng, config, cases, rate=rate, traffic=rate < 1)


def a_row(read, write):
    """Return a layer of one group that reads a row of the Feature Buffer and writes another."""
    return Layer(
        name=f"row {read} to {write}", kernel=Kernel(words=1), height=1, width=3, raster_height=1,
        raster_width=3, lanes=3, out_groups=2,
        input=InputMap(base_row=read, plane_rows=1, height=1, width=3, pitch=3, zero_point=0),
        output=OutputMap(base_row=write, plane_rows=1, step_y=3),
    )  # fmt: skip


def test_a_row_is_read_in_the_cycle_after_it_is_written_and_not_before(rng):
    config = CONFIGS["small"]
    layers = with_starts([a_row(0, 10), a_row(10, 20), a_row(20, 0)], config)
    needed = layers[1].start_after
    assert needed == late_start(layers[0], config) - Scheduler.TAKE_LATENCY - READ_TAKEN - 1
    cases = [with_filters(rng, config, layer) for layer in layers]
    run_layers(rng, config, cases, rate=1.0, traffic=False)
    early = replace(layers[1], start_after=needed - 1)
    cases[1] = replace(cases[1], layer=early)
    with pytest.raises(AssertionError, match="layer 1, first"):
        run_layers(rng, config, cases, rate=1.0, traffic=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_layers_that_read_what_was_just_written_may_begin_before_it_all_is(rng, name, rate):
    config = CONFIGS[name]
    cases = [random_layer(rng, config, max_cycles=100, rows=60) for _ in range(12)]
    run_layers(rng, config, overlapping(cases, config), rate=rate, traffic=rate < 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("rate", "traffic"), [(1.0, False), (0.3, True)])
def test_many_random_layers_leave_these_bytes_on_every_shape(rng, name, rate, traffic):
    config = CONFIGS[name]
    cases = [random_layer(rng, config, max_cycles=200, full=i % 4 != 0) for i in range(8)]
    run_layers(rng, config, overlapping(cases, config), rate=rate, traffic=traffic)


@pytest.mark.parametrize("config", NAMED.values(), ids=NAMED)
def test_isa_timing_counts_the_stages_of_the_units(config):
    multiply = FeatureRead.LATENCY - PE.FEATURES_AFTER + PE.latency(config)
    plain = multiply + PostProcess.latency(config) + Finish.LATENCY + FeatureWriter.LATENCY
    layer = Layer(
        name="one position", kernel=Kernel(words=1), height=1, width=1, raster_height=1,
        raster_width=1, lanes=1, out_groups=1, output=OutputMap(base_row=1, plane_rows=1, step_y=1),
        input=InputMap(base_row=0, plane_rows=1, height=1, width=1, pitch=1, zero_point=0),
    )  # fmt: skip
    begin = Scheduler.TAKE_LATENCY + Scheduler.START_LATENCY
    assert layer_cycles(layer, config) == begin + plain
    assert sum_cycles(config) == multiply
    assert announce_cycles(config) == multiply + PostProcess.latency(config) - LOOKAHEAD
    assert (TELL, READ_TAKEN) == (FeatureRead.CFG_AFTER + 2, FeatureRead.CFG_AFTER)


KINDS = [
    {"pool": None, "raw": False},
    {"pool": None, "raw": True},
    {"pool": "sum", "raw": False},
    {"pool": "sum", "raw": True},
    {"pool": "max", "raw": False},
]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_layers_take_the_cycles_that_isa_timing_says(rng, name):
    config = CONFIGS[name]
    kinds = [{**KINDS[0], "segments": config.pixels > 1}, *KINDS[1:]]
    cases = [random_layer(rng, config, max_cycles=120, **kind) for kind in kinds]
    cycles = run_layers(rng, config, cases, rate=1.0, traffic=False)
    assert list(cycles) == [layer_cycles(case.layer, config) for case in cases[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_layer_begins_as_many_cycles_after_the_one_before_as_it_says(rng, name):
    config = CONFIGS[name]
    # No layer so short that it is still at the head of the queue when it has been issued.
    cases = [
        random_layer(rng, config, max_cycles=200, **kind)
        for kind in [*KINDS, *KINDS]
    ]  # fmt: skip
    cases = [case for case in cases if case.cycles > 2 * announce_cycles(config)]
    layers = [case.layer for case in overlapping(cases, config)]
    cycles = run_layers(rng, config, overlapping(cases, config), rate=1.0, traffic=False)
    pairs = pairwise(layers)
    earlier = [late_start(a, config) - b.start_after if b.start_after else 0 for a, b in pairs]
    assert max(earlier) > 0
    assert list(cycles + earlier) == [layer_cycles(layer, config) for layer in layers[1:]]
