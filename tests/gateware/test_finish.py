"""Finish with RasterWalk, MaxPool and SumPool inside: what is written, where, and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench import pack, run_fixed, unpack
from layer_bench import CONFIGS, layer_bits

from isa.overlay_layers import random_layer
from tf2.gateware.finish import Finish
from tf2.gateware.post_process import LOOKAHEAD
from tf2.gateware.signatures import one_by_one, row_bits
from tf2.gateware.sum_pool import SumPool
from tf2.isa import InputMap, Kernel, Layer, OutputMap, Pool
from tf2.isa.walk import output_positions, walk
from tf2.numerics import fixed_point
from tf2.sim.functional import max_pool

BLOCKS = 2
WRITE = ("valid", "emit", "bank", "row", "segment", "byte", "bytes", "group_last")


def spacing_of_bytes(layer, config):
    return max(walk(layer, config).segments, config.post_beats)


def beats_of(rng, layer, config, pauses):
    """Return (cycles of inputs, (block, group, byte) by cycle, bytes (blocks, groups, 4, P, N)).

    pauses: how often a group waits some cycles, by block.
    """
    plain_raw = layer.raw and layer.pool is None
    times, at = {}, LOOKAHEAD
    for block in range(BLOCKS):
        for group in range(layer.groups):
            for byte in range(4 if plain_raw else 1):
                times[at + byte * spacing_of_bytes(layer, config)] = (block, group, byte)
            at += walk(layer, config).interval + (
                rng.integers(1, 9) if rng.random() < pauses[block] else 0
            )
    shape = (BLOCKS, layer.groups, 4, config.pixels, config.outputs)
    octets = rng.integers(-128, 128, shape)
    cycles = [{} for _ in range(at + 40 + config.outputs)]
    for time, (block, group, byte) in times.items():
        first, last = group == 0, group == layer.groups - 1 and byte == 3 * plain_raw
        cycles[time - LOOKAHEAD] |= {
            "beat.ahead": 1, "beat.ahead_byte": byte, "beat.ahead_first": first,
        }  # fmt: skip
        cycles[time] |= {
            "beat.valid": 1, "beat.byte": byte, "beat.group_first": first,
            "beat.group_last": last,
        }  # fmt: skip
        if one_by_one(config):
            for p in range(config.pixels):
                at = time - config.pixels + 1 + p
                cycles[at]["beat.bytes"] = pack(octets[block, group, byte, p], 8)
        else:
            cycles[time]["beat.bytes"] = pack(octets[block, group, byte], 8)
    return cycles, times, octets


def map_of(layer, octets):
    """Return the (height, width, N) map of groups of bytes (groups, P, N)."""
    raster = octets[:, : layer.lanes].reshape(-1, octets.shape[-1])
    raster = raster[: layer.raster_height * layer.raster_width]
    raster = raster.reshape(layer.raster_height, layer.raster_width, -1)
    return raster[: layer.height, : layer.width]


def run_layer(seed, name, *, pauses=0.2, **wanted):
    """Return (layer, config, octets, input times, write beats in order)."""
    rng, config = np.random.default_rng(seed), CONFIGS[name]
    layer = random_layer(rng, config, **wanted).layer
    cycles, times, octets = beats_of(rng, layer, config, (pauses,) * BLOCKS)
    return layer, config, octets, times, written(layer, config, cycles)


def written(layer, config, cycles):
    """Return the write beats in order, each with the cycle it came."""
    word = layer_bits(layer, config)
    record = run_fixed(
        Finish(config), [c | {"cfg": word} for c in cycles], [f"write.{n}" for n in WRITE]
    )
    return [
        {"at": at} | {n: cycle[f"write.{n}"] for n in WRITE}
        for at, cycle in enumerate(record)
        if cycle["write.valid"]
    ]


def lanes_of(beat, config):
    """Return (lane, position, bytes) of the lanes that a beat writes."""
    bank = unpack(beat["bank"], 5, config.pixels, signed=False)
    row = unpack(beat["row"], row_bits(config), config.pixels, signed=False)
    octets = unpack(beat["bytes"], 8, (config.pixels, config.outputs))
    return [
        (i, int(row[i]) * config.pixels + int(bank[i]), octets[i])
        for i in range(config.pixels)
        if beat["emit"] >> i & 1
    ]


def base_position(layer, config):
    target = layer.output
    row = target.base_row + target.first_part // config.parts * target.plane_rows
    return row * config.pixels + target.origin


def expected_map(layer, config, values):
    """Return the bytes by position of a (height, width, N) result."""
    target, base = layer.output, base_position(layer, config)
    return {
        base + y * target.step_y + x * target.step_x: values[y, x].tolist()
        for y, x in np.ndindex(values.shape[:2])
    }


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["plain", "max", "max clipped", "raw", "segments"])
@pytest.mark.parametrize("seed", range(2))
def test_every_output_is_written_once_to_its_place_at_the_declared_latency(name, kind, seed):
    wanted = {
        "plain": {"pool": None, "raw": False},
        "max": {"pool": "max", "raw": False, "segments": False},
        "max clipped": {"pool": "max", "raw": False, "clips": True},
        "raw": {"pool": None, "raw": True},
        "segments": {"pool": None, "segments": name != "one pixel"},
    }[kind]
    layer, config, octets, times, beats = run_layer(
        seed, name, pauses=0.2 * seed, full=seed == 0, residual=False, **wanted
    )
    assert [beat["at"] for beat in beats] == [at + Finish.LATENCY for at in times]
    maps: dict[tuple[int, int], dict] = {}
    _, _, y = output_positions(layer, config)
    for beat, (block, group, byte) in zip(beats, times.values(), strict=True):
        assert beat["byte"] == byte
        is_last = group == layer.groups - 1 and (byte == 3 or not layer.raw)
        assert beat["group_last"] == is_last
        segment = unpack(beat["segment"], 4, config.pixels, signed=False)
        for lane, position, values in lanes_of(beat, config):
            assert segment[lane] == y[group, lane] - y[group, 0]
            got = maps.setdefault((block, byte), {})
            assert position not in got
            got[position] = values.tolist()
    for (block, byte), got in maps.items():
        values = map_of(layer, octets[block, :, byte])
        if layer.pool is not None:
            values = max_pool(layer.pool, values.astype(np.int8))
        assert got == expected_map(layer, config, values)
    assert len(maps) == BLOCKS * (4 if layer.raw else 1)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_fused_sum_is_written_once_a_raster_at_the_declared_latency(name, raw, seed):
    layer, config, octets, times, beats = run_layer(seed, name, pool="sum", raw=raw)
    per_block = 4 if raw else 1
    ends = [at for at, (_, group, _) in times.items() if group == layer.groups - 1]
    first = SumPool.latency(config, raw=raw)
    assert [b["at"] for b in beats] == [at + first + k for at in ends for k in range(per_block)]
    assert [b["byte"] for b in beats] == list(range(per_block)) * BLOCKS
    assert [b["group_last"] for b in beats] == [k == per_block - 1 for k in range(per_block)] * 2
    for block in range(BLOCKS):
        values = map_of(layer, octets[block, :, 0])
        total = layer.pool.bias + values.sum(axis=(0, 1))
        pool = layer.pool
        if raw:
            expected = total.astype("<i4").view(np.int8).reshape(-1, 4).T
        else:
            expected = fixed_point.rescale(
                total, pool.multiplier, pool.shift, zero_point=pool.zero_point
            )[None]
        for k in range(per_block):
            ((lane, position, got),) = lanes_of(beats[block * per_block + k], config)
            assert (lane, position) == (0, base_position(layer, config))
            np.testing.assert_array_equal(got, expected[k])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 8, 11, 16])
@pytest.mark.parametrize(("pixels", "post", "lanes"), [(5, 5, 5), (4, 4, 2), (3, 1, 3), (3, 1, 1)])
def test_rows_of_any_width_are_pooled_at_full_rate(rng, width, pixels, post, lanes):
    """A line in the same group, the one before, some groups before; then groups wait as well."""
    config = replace(CONFIGS["five pixels"], pixels=pixels, post_pixels=post)
    stride = pixels // lanes
    layer = Layer(
        name="pooled", height=9, width=width, raster_height=10, raster_width=width + 1,
        input=InputMap(base_row=0, plane_rows=40, height=9, width=width, pitch=width + 1,
                       zero_point=0),
        kernel=Kernel(words=1, stride_x=stride, stride_y=stride), lanes=lanes, out_groups=1,
        pool=Pool(kind="max", size=3, pad_top=1, pad_left=1, height=9, width=width),
        output=OutputMap(base_row=0, plane_rows=40, step_y=width),
    )  # fmt: skip
    assert walk(layer, config).interval == config.post_beats
    cycles, times, octets = beats_of(rng, layer, config, (0, 0.5))
    record = written(layer, config, cycles)
    assert len(record) == len(times)
    for block in range(BLOCKS):
        values = max_pool(layer.pool, map_of(layer, octets[block, :, 0]).astype(np.int8))
        beats = record[block * layer.groups :][: layer.groups]
        got = {at: v.tolist() for beat in beats for _, at, v in lanes_of(beat, config)}
        assert got == expected_map(layer, config, values)
