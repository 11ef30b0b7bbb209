"""What an overlay takes: memories exact, the rest within a tenth of what synthesis gives."""

import json
from dataclasses import asdict, replace
from importlib import resources

import pytest

import resource_fit
import resource_samples
from tf2.arch import OverlayConfig, named_config
from tf2.gateware import (
    controller,
    ddr_reader,
    feature_loader,
    feature_store,
    filter_loader,
    layer_queue,
    residual_reader,
)
from tf2.isa.encoding import TRANSFER_FIELDS, layer_fields
from tf2.isa.filters import PARAMETER_FIELDS
from tf2.platforms import part_of
from tf2.resources import Memory, estimate_resources, memories, memory
from tf2.resources.memory import blocks, in_blocks, layer_bits
from tf2.resources.model import METRICS

ERROR = 0.10
"""Allowed on overlays that were not fitted to."""

MOST_UNITS = 24
"""Of the 26 kinds; overlays of which fewer were synthesised say too little."""

SMALL = {"dsps": 4}
"""Below so many of a resource a tenth means nothing."""


def _measurements():
    return json.loads((resources.files("tf2.resources") / "measurements.json").read_text())


def _measured():
    """Every measured overlay: family, configuration, units."""
    content = _measurements()
    for family, overlays in content["families"].items():
        for name, units in overlays.items():
            yield family, OverlayConfig(**content["configs"][name]), units


def test_block_rams_are_those_of_yosys_to_the_block():
    seen = 0
    for family, config, units in _measured():
        if family == "intel":  # yosys has M10K only
            continue
        expected: dict[str, int] = {}
        for held in memories(config):
            expected[held.unit] = expected.get(held.unit, 0) + blocks(held, family)
        for unit, count in expected.items():
            if unit in units:
                assert count == units[unit][0] * units[unit][-1], (family, config.name, unit)
                seen += 1
    assert seen >= 50


@pytest.mark.parametrize("metric", METRICS)
def test_overlays_that_were_held_back_are_met_within_a_tenth(metric):
    held = {config.name for config in resource_samples.HELD_BACK}
    seen = set()
    for family, config, units in _measured():
        if config.name not in held or len(units) < MOST_UNITS:
            continue
        measured, model = resource_fit.compared(config, family, units, metric)
        assert model == pytest.approx(measured, rel=ERROR, abs=SMALL.get(metric, 0)), family
        seen.add((family, config.name))
    assert {family for family, _ in seen} >= {"ecp5", "intel"}


def test_samples_are_the_ones_that_were_measured():
    content = _measurements()["configs"]
    for config in (*resource_samples.FITTED, *resource_samples.HELD_BACK):
        if config.name in content:
            assert asdict(config) == content[config.name]


def test_the_layers_of_the_queue_are_as_wide_as_the_isa_has_them():
    for pixels in (1, 3, 15):
        config = replace(named_config("test-small"), pixels=pixels, post_pixels=1)
        assert layer_bits(config) == sum(field.bits for field in layer_fields(config))


def test_depths_and_widths_are_those_of_the_gateware():
    assert filter_loader.PREFETCH_BEATS == memory.FILTER_PREFETCH_BEATS
    assert feature_loader.PREFETCH_BEATS == memory.ROW_PREFETCH_BEATS
    assert controller.PREFETCH_BEATS == memory.CODE_PREFETCH_BEATS
    assert controller.QUEUED_TRANSFERS == memory.QUEUED_TRANSFERS
    assert layer_queue.HELD_LAYERS == memory.HELD_LAYERS
    assert feature_store.HELD_BEATS == memory.HELD_BEATS
    assert ddr_reader.OUTSTANDING_BURSTS == memory.OPEN_BURSTS
    assert residual_reader.ResidualReader.DEPTH == memory.RESIDUAL_GROUPS
    assert sum(bits for _, bits, _ in PARAMETER_FIELDS) == memory.PARAMETER_BITS
    assert sum(field.bits for field in TRANSFER_FIELDS) >= memory.TRANSFER_BITS


def test_the_original_takes_the_blocks_that_its_geometry_says():
    # Banks of 10,240 x 128 bits: 5 x 13 of 2,048 x 10. Caches of 4,096 x 64: 13 of 4,096 x 5.
    held = {m.name: m for m in memories(named_config("original-3840"))}
    assert blocks(held["feature buffer"], "intel") == 15 * 5 * 13
    assert blocks(held["filter caches"], "intel") == 16 * 13


@pytest.mark.parametrize(
    ("depth", "width", "expected"), [(512, 36, 1), (512, 37, 2), (1024, 18, 1), (1025, 18, 2)]
)
def test_a_block_of_ecp5_holds_18_kbit(depth, width, expected):
    found = Memory(name="m", unit="u", count=3, depth=depth, width=width)
    assert in_blocks(found, "ecp5")
    assert blocks(found, "ecp5") == 3 * expected


def test_more_of_anything_takes_more():
    base = named_config("test-small")
    for change in ({"pixels": 5}, {"inputs": 16}, {"outputs": 8}, {"post_pixels": 3}):
        for family in _measurements()["families"]:
            small, large = (estimate_resources(c, family) for c in (base, replace(base, **change)))
            assert large.luts > small.luts
            assert large.flip_flops > small.flip_flops


def test_what_does_not_fit_is_named_with_the_memory_that_is_too_large():
    part = part_of("ecp5-45k")
    deep = replace(named_config("test-small"), feature_rows=1 << 16)
    text = estimate_resources(deep, "ecp5").too_much(part)
    assert text is not None
    assert "block RAM" in text
    assert "feature buffer" in text
    assert estimate_resources(named_config("test-small"), "ecp5").too_much(part) is None
    assert len(memories(deep)) == len(memories(named_config("test-small")))


def test_the_overlay_for_arria_10_takes_at_most_four_fifths_of_anything():
    part = part_of("arria10-gx1150")
    found = estimate_resources(named_config("arria10-gx1150"), part.family)
    assert found.too_much(part, 0.8) is None
    assert found.luts > 0.6 * part.luts  # and is no waste of it
