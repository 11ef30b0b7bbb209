"""Every lane of every cycle of a frame has one cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.random_programs import random_program
from tf2.arch import named_config
from tf2.flow.lane_losses import LaneCycles, lane_cycles
from tf2.isa import Layer
from tf2.isa.timing import issue_cycles
from tf2.sim.cycle_model import estimate_run
from tf2.sim.simulation import DdrSettings

CONFIG = named_config("test-small")


def _whole(case, ddr: DdrSettings) -> list[tuple[Layer, LaneCycles, int]]:
    layers = [i for i in case.program.instructions if isinstance(i, Layer)]
    records = estimate_run(case.program, ddr).layers
    return [
        (
            layer,
            lane_cycles([layer], record.spent, CONFIG, issued=issue_cycles(layer, CONFIG)),
            record.spent.cycles,
        )
        for layer, record in zip(layers, records, strict=True)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_the_causes_of_a_random_program_add_up_and_none_is_negative(seed):
    case = random_program(np.random.default_rng(seed), CONFIG, layers=4)
    slow = DdrSettings(beats_per_256=40, latency=100)
    borders = 0
    for layer, lanes, cycles in _whole(case, slow):
        assert lanes.total == cycles * CONFIG.lanes
        assert min(lanes.channels, lanes.positions, lanes.rate) >= 0, layer.name
        borders += lanes.borders
        assert borders >= 0, "what a layer gains by beginning early, the one before had lost"
        assert sum(lanes.shares().values()) == pytest.approx(1)


def test_a_slower_memory_costs_filters_and_waiting_alone():
    case = random_program(np.random.default_rng(3), CONFIG, layers=4)
    fast = LaneCycles()
    slow = LaneCycles()
    for _, lanes, _ in _whole(case, DdrSettings()):
        fast = fast.plus(lanes)
    for _, lanes, _ in _whole(case, DdrSettings(beats_per_256=16)):
        slow = slow.plus(lanes)
    assert slow.filters + slow.waiting > fast.filters + fast.waiting
    assert slow.borders >= fast.borders, "what comes late begins behind a written layer"
    same = {"filters": 0, "waiting": 0, "borders": 0}
    assert replace(slow, **same) == replace(fast, **same)
