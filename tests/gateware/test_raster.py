from __future__ import annotations

import numpy as np
import pytest
from bench import run_fixed, unpack
from layer_bench import CONFIGS, layer_bits

from isa.overlay_layers import random_layer
from tf2.gateware.raster import AT, RasterWalk
from tf2.gateware.signatures import row_bits
from tf2.isa.walk import output_positions, walk


def fields(packed, pixels):
    """Return the fields of P x `AT`, each an array of P."""
    lanes = unpack(packed, AT.size, pixels, signed=False)
    parts, offset = {}, 0
    for name, field in AT:
        parts[name] = (lanes >> offset) & ((1 << field.width) - 1)
        offset += field.width
    return parts


def taps(layer, position, clipped):
    """Return the taps of a pooling's window that ends there, beyond the first."""
    size = np.where(position == clipped, layer.pool.size - 1, layer.pool.size)
    return np.clip(np.minimum(size, position + 1) - 1, 0, None)


def walk_twice(rng, layer, config, address_latency):
    """Advance through the raster twice with pauses; return the record and when groups advance."""
    cycles, times = [], []
    for g in [*range(layer.groups)] * 2:
        while rng.random() < 0.3:
            cycles.append({})
        times.append(len(cycles))
        cycles.append({"advance": 1, "first": g == 0})
    word = layer_bits(layer, config)
    cycles += [{} for _ in range(address_latency)]
    return run_fixed(
        RasterWalk(config, address_latency=address_latency),
        [c | {"cfg": word} for c in cycles],
        ["at", "bank", "row"],
    ), times


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(8))
def test_lanes_stand_where_the_walk_says_at_the_declared_latencies(name, seed):
    rng, config = np.random.default_rng(seed), CONFIGS[name]
    kind = {"pool": "max"} if seed % 2 else {"pool": None}
    layer = random_layer(rng, config, full=seed % 4 != 3, **kind).layer
    address_latency = 4 + seed % 4
    record, times = walk_twice(rng, layer, config, address_latency)
    emit, position, y = output_positions(layer, config)
    index = np.arange(layer.groups)[:, None] * layer.lanes + np.arange(config.pixels)
    x = index % layer.raster_width
    for at, g in zip(times, [*range(layer.groups)] * 2, strict=True):
        got = fields(record[at + RasterWalk.LATENCY]["at"], config.pixels)
        valid = np.arange(config.pixels) < layer.lanes
        np.testing.assert_array_equal(got["emit"], emit[g])
        np.testing.assert_array_equal(
            got["inside"], valid & (x[g] < layer.width) & (y[g] < layer.height)
        )
        np.testing.assert_array_equal(got["segment"][valid], (y[g] - y[g, 0])[valid])
        _check_taps(layer, got, x[g], y[g], walk(layer, config))
        for back, name in enumerate(("above", "top"), start=1):
            inside = valid & (x[g] < layer.width) & (y[g] - back < layer.height)
            expected = inside & (got["rows"] >= back)
            np.testing.assert_array_equal(got[name][emit[g]], expected[emit[g]])
        later = record[at + address_latency]
        bank = unpack(later["bank"], 5, config.pixels, signed=False)
        row = unpack(later["row"], row_bits(config), config.pixels, signed=False)
        np.testing.assert_array_equal(bank[emit[g]], (position[g] % config.pixels)[emit[g]])
        target = layer.output
        first_plane = target.base_row + target.first_part // config.parts * target.plane_rows
        expected_row = position[g] // config.pixels + first_plane
        np.testing.assert_array_equal(row[emit[g]], expected_row[emit[g]])


def _check_taps(layer, got, x, y, w):
    """Columns have the taps of their column, whether or not their row emits."""
    if layer.pool is not None and layer.pool.kind == "max":
        np.testing.assert_array_equal(got["columns"], taps(layer, x, w.emit_x.clipped))
        np.testing.assert_array_equal(got["rows"], taps(layer, y, w.emit_y.clipped))
