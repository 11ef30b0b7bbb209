from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from bench import run_benches
from layer_bench import CONFIGS, content, fill, layer_bits

from isa.overlay_layers import LayerCase, random_features, random_layer
from tf2.arch import NAMED
from tf2.gateware.array_core import ArrayCore
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.feature_read import FeatureRead
from tf2.gateware.feature_writer import FeatureWriter
from tf2.gateware.finish import Finish
from tf2.gateware.pe import PE
from tf2.gateware.post_process import PostProcess
from tf2.gateware.scheduler import Scheduler
from tf2.isa import InputMap, Kernel, Layer, OutputMap
from tf2.isa.filters import block_bytes
from tf2.isa.timing import layer_cycles
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
    """Run layers on the core and on the functional overlay; compare memories after each."""
    features = random_features(rng, config)
    stream = b"".join(case.filters for case in cases)
    oracle = FunctionalOverlay(config, np.frombuffer(stream, np.uint8).copy(), 0)
    oracle.features[:] = features
    dut = ArrayCore(config)
    loader = Filters(config, cases, rate, rng)
    cycles = []

    async def bench(ctx):
        fill(ctx, dut.buffer, features)
        for number, case in enumerate(cases):
            ctx.set(dut.layers.payload.as_value(), layer_bits(case.layer, config))
            ctx.set(dut.layers.valid, 1)
            await ctx.tick().until(dut.layers.ready)
            ctx.set(dut.layers.valid, 0)
            count = 1 + Scheduler.TAKE_LATENCY
            while not ctx.get(dut.layer_done):
                count += 1
                await ctx.tick()
            cycles.append(count)
            await ctx.tick().repeat(FeatureBuffer.LATENCY)  # the last write is under way
            oracle.execute(case.layer)
            different = content(ctx, dut.buffer, features.shape) != oracle.features
            assert not different.any(), (
                f"layer {number}, first (row, bank, byte) of {different.sum()}: "
                f"{np.argwhere(different)[0]}; {case.layer}"
            )

    async def loads(ctx):
        await loader.run(ctx, dut)

    async def stores(ctx):
        """Read rows nearly all the time: it must not disturb."""
        while traffic:
            ctx.set(dut.row_read.request.valid, int(rng.random() < 0.7))
            ctx.set(dut.row_read.request.payload, int(rng.integers(config.feature_rows)))
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=40000, background=(loads, stores))
    return cycles


@pytest.mark.parametrize(("name", "rate"), [("small", 1.0), ("five pixels", 0.3)])
def test_random_layers_leave_the_bytes_that_the_instruction_set_says(rng, name, rate):
    config = CONFIGS[name]
    cases = [random_layer(rng, config, max_cycles=120, full=i != 0) for i in range(3)]
    cases.append(random_layer(rng, config, max_cycles=120, residual=True, pool=None))
    run_layers(rng, config, cases, rate=rate, traffic=rate < 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("rate", "traffic"), [(1.0, False), (0.3, True)])
def test_many_random_layers_leave_these_bytes_on_every_shape(rng, name, rate, traffic):
    config = CONFIGS[name]
    cases = [random_layer(rng, config, max_cycles=200, full=i % 4 != 0) for i in range(8)]
    run_layers(rng, config, cases, rate=rate, traffic=traffic)


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


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_layers_take_the_cycles_that_isa_timing_says(rng, name):
    config = CONFIGS[name]
    kinds = [
        {"pool": None, "raw": False, "segments": config.pixels > 1},
        {"pool": None, "raw": True},
        {"pool": "sum", "raw": False},
        {"pool": "sum", "raw": True},
        {"pool": "max", "raw": False},
    ]
    cases = [random_layer(rng, config, max_cycles=120, **kind) for kind in kinds]
    cycles = run_layers(rng, config, cases, rate=1.0, traffic=False)
    late = np.array(cycles) - [layer_cycles(case.layer, config) for case in cases]
    assert not late[1:].any(), "the first layer waits for the first word; the others for none"
