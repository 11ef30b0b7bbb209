"""The search: exact where it counts, honest about its end."""

import json
import xml.etree.ElementTree
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from compiler.random_graphs import random_graph
from tf2.arch import OverlayConfig, named_config
from tf2.compiler import compile_graph
from tf2.errors import ConfigError, DoesNotFitError
from tf2.flow import searching
from tf2.platforms import part_of
from tf2.resources import Resources, block_rams, memories
from tf2.search import Budget, Wish, explore, space, surroundings, svg_chart, text_chart
from tf2.search.exploration import front
from tf2.search.workload import workload
from tf2.sim.cycle_model import estimate_run
from tf2.sim.simulation import DdrSettings

PART = replace(part_of("ecp5-25k"), luts=12_000)


@pytest.fixture(autouse=True)
def _resources_by_a_rule_of_thumb(monkeypatch):
    """60 LUTs a lane, 500 a lane of post-processing: the fit has tests of its own."""

    def estimate(config: OverlayConfig, family: str) -> Resources:
        luts = 2000 + 60 * config.lanes + 500 * config.outputs * config.post_pixels
        return Resources(
            family=family, luts=luts, flip_flops=luts, block_rams=block_rams(config, family),
            dsps=2 * config.outputs * config.post_pixels, units=(), memories=memories(config),
        )  # fmt: skip

    monkeypatch.setattr(space, "estimate_resources", estimate)


@pytest.fixture(scope="module")
def graph():
    return random_graph(np.random.default_rng(5), rank=2, steps=6)


def _budget(**changes):
    base = Budget(part=PART, share=0.8, instances=1, ddr_bytes=8, lanes=("sac",))
    return replace(base, **changes)


def _explore(graph, *, wish=None, budget=None, progress=None):
    return explore(
        [graph], budget or _budget(), surroundings(PART), wish or Wish(goal="fps", compilations=9),
        progress,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_no_frame_takes_less_than_its_bound(seed):
    graph = random_graph(np.random.default_rng(seed), rank=2, steps=5)
    work = workload(graph)
    for name in ("test-small", "ecp5-85k"):
        compiled = compile_graph(graph, named_config(name))
        if any(node.where == "host" and "Conv" in node.kind for node in compiled.nodes):
            continue
        cycles = sum(estimate_run(s.program, DdrSettings()).total.cycles for s in compiled.arrays)
        assert work.least_cycles(named_config(name)) <= cycles


def test_every_shape_fits_and_would_not_with_one_step_of_rows_more(graph):
    budget, found = _budget(), list(space.shapes(_budget(), [workload(graph)]))
    assert len({(c.outputs, c.pixels, c.inputs, c.post_pixels) for c in found}) == len(found) > 20
    for config in found:
        assert budget.too_much(config) is None
        more = config.feature_rows + space.ROWS_STEP
        if more <= space.MOST_ROWS:
            assert budget.too_much(replace(config, feature_rows=more)) is not None


def test_the_chosen_one_has_the_cycles_of_the_cycle_model_and_is_the_fastest_counted(graph):
    result = _explore(graph)
    compiled = compile_graph(graph, result.chosen.config)
    runs = [estimate_run(segment.program, DdrSettings()) for segment in compiled.arrays]
    assert result.chosen.cycles == (sum(run.total.cycles for run in runs),)
    assert result.chosen.rate == max(point.rate for point in result.points)
    assert result.chosen in result.front


def test_of_the_front_each_takes_more_logic_and_is_faster(graph):
    points = front(_explore(graph).points)
    for small, large in pairwise(points):
        assert small.logic < large.logic
        assert small.rate < large.rate


def test_the_smallest_that_is_fast_enough_is_found(graph):
    fast = _explore(graph).chosen
    result = _explore(graph, wish=Wish(goal="area", at_least=fast.rate / 8, compilations=12))
    assert result.chosen.rate >= fast.rate / 8
    assert result.chosen.logic < fast.logic


def test_an_area_without_a_rate_is_refused():
    with pytest.raises(ConfigError, match="--at-least"):
        Wish(goal="area")


def test_out_of_reach_names_the_nearest(graph):
    with pytest.raises(ConfigError, match=r"out of reach on ecp5-25k.*the nearest, \d+x\d+x\d+"):
        _explore(graph, wish=Wish(goal="fps", at_least=1e9, compilations=3))


def test_a_part_that_is_too_small_for_any_overlay_says_so(graph):
    with pytest.raises(ConfigError, match=r"no overlay fits 1 % of ecp5-25k"):
        _explore(graph, budget=_budget(share=0.01))


def test_a_network_without_room_names_the_memory(graph, monkeypatch):
    def refuse(graph, config):
        raise DoesNotFitError("layer 'x': 9 rows of the Feature Buffer are missing")

    monkeypatch.setattr("tf2.search.exploration.compile_graph", refuse)
    with pytest.raises(DoesNotFitError, match=r"none of \d+ overlays.*Feature Buffer"):
        _explore(graph)


def test_ctrl_c_ends_with_the_best_so_far(graph):
    stages = []

    def stop_in_the_fourth(stage, share):
        stages.append(stage)
        if len(stages) == 4:
            raise KeyboardInterrupt

    result = _explore(graph, progress=stop_in_the_fourth)
    assert result.interrupted
    assert len(result.points) == 2

    def stop_at_once(stage, share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _explore(graph, progress=stop_at_once)


def test_two_instances_share_part_and_memory(graph):
    result = _explore(graph, budget=_budget(instances=2))
    point = result.chosen
    compiled = compile_graph(graph, point.config)
    half = DdrSettings(beats_per_256=128)
    cycles = sum(estimate_run(s.program, half).total.cycles for s in compiled.arrays)
    assert point.cycles == (cycles,)
    assert point.rate == pytest.approx(2 * 1e6 * point.clock_mhz / cycles)
    assert 2 * point.resources.luts <= 0.8 * PART.luts


def test_charts_show_every_point(graph):
    result = _explore(graph)
    drawing = xml.etree.ElementTree.fromstring(svg_chart(result, "a & b", "LUT4s"))
    circles = [e for e in drawing.iter() if e.tag.endswith("circle")]
    assert len(circles) == len(result.points) + len(result.front) + 1
    lines = text_chart(result, "LUT4s")
    assert sum(line.count("*") for line in lines[:-1]) == 1


def test_flow_search_writes_an_overlay_that_can_be_named(graph, tmp_path):
    report = searching.search([graph], "ecp5-25k", compilations=2, clock_mhz=50)
    searching.write_overlay(report, tmp_path / "overlay.json")
    read = OverlayConfig(**json.loads((tmp_path / "overlay.json").read_text()))
    assert read == report.result.chosen.config
    assert report.surroundings.clock_source == "given"
    with pytest.raises(ConfigError, match="did you mean ecp5-25k"):
        searching.search([graph], "ecp5-26k")
