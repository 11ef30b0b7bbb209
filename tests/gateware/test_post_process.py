from __future__ import annotations

import numpy as np
import pytest
from bench import layer_fields_word, pack, run_fixed, unpack

from tf2.arch import OverlayConfig
from tf2.gateware.post_process import LOOKAHEAD, PostProcess
from tf2.gateware.signatures import one_by_one
from tf2.isa.filters import Parameters, encode_parameters
from tf2.numerics import fixed_point

BEAT = ("ahead", "ahead_byte", "ahead_first", "valid", "byte", "bytes", "group_first", "group_last")
OUTPUTS = [*(f"beat.{name}" for name in BEAT), "block_done", "residual.pop"]


def config(n, p, post):
    return OverlayConfig(
        outputs=n, pixels=p, inputs=max(n, 4), feature_rows=64, filter_words=16,
        post_pixels=post, pool_groups=4, ddr_bytes=8,
    )  # fmt: skip


def random_parameters(rng, n):
    return Parameters(
        bias=rng.integers(-(2**20), 2**20, n),
        multiplier=rng.integers(0, 256, n),
        shift=rng.integers(8, 18, n),
        negative_multiplier=rng.integers(-255, 256, n),
        negative_shift=rng.integers(8, 18, n),
    )


def run_drains(rng, config, *, cfg, spacings):
    """Drain groups at those distances, three a block; return (record, the groups in order)."""
    n, p = config.outputs, config.pixels
    blocks = [random_parameters(rng, n) for _ in range(config.parameter_slots)]
    cycles = [
        {
            "parameter_write.en": 1,
            "parameter_write.slot": slot,
            "parameter_write.parameters": int.from_bytes(
                encode_parameters(block, config)[: 8 * n], "little"
            ),
        }
        for slot, block in enumerate(blocks)
    ]
    cycles.append({})
    groups = []
    for index, spacing in enumerate(spacings):
        slot, place = (index // 3 * 3) % config.parameter_slots, index % 3
        sums = rng.integers(-(2**20), 2**20, (p, n)) << rng.integers(0, 11)
        group = {
            "at": len(cycles), "sums": sums, "parameters": blocks[slot],
            "residual": rng.integers(-128, 128, (p, n)), "first": place == 0, "last": place == 2,
        }  # fmt: skip
        held = {
            "drain.sums": pack(sums, 32), "drain.slot": slot, "drain.group_first": place == 0,
            "drain.group_last": place == 2,
        }  # fmt: skip
        cycles += [dict(held) for _ in range(spacing)]
        cycles[group["at"]]["drain.valid"] = 1
        groups.append(group)
    cycles += [{} for _ in range(4 * max(16, p) + 20)]
    head = 0
    for group in groups:  # the residual at the head changes when it is popped
        popped = group["at"] + config.post_beats - 1 + 7
        for cycle in cycles[head : popped + 1]:
            shift = 1 if one_by_one(config) else 0
            cycle["residual.bytes"] = pack(np.roll(group["residual"], shift, axis=0), 8)
        head = popped + 1
    banks = {}
    if one_by_one(config):  # then the residual is bank by bank
        banks = {f"lane{p}_residual_bank": (p + 1) % config.pixels for p in range(config.pixels)}
    word = layer_fields_word(config, **cfg, **banks)
    return run_fixed(PostProcess(config), [c | {"cfg": word} for c in cycles], OUTPUTS), groups


def expected_bytes(cfg, group):
    """Return the (P, N) bytes of a group of a layer that is not raw."""
    parameters, acc = group["parameters"], group["sums"] + group["parameters"].bias
    acc = acc.astype(np.int32).astype(np.int64)
    y_zero = -128 * cfg["out_unsigned"]
    y = fixed_point.rescale(
        acc,
        np.where(acc < 0, parameters.negative_multiplier, parameters.multiplier),
        np.where(acc < 0, parameters.negative_shift, parameters.shift),
        zero_point=y_zero, low=cfg["low"], high=cfg["high"],
    ).astype(np.int64)  # fmt: skip
    if not cfg["residual"]:
        return y
    r = group["residual"] + 128 * cfg["residual_unsigned"]
    total = ((y - y_zero) << cfg["shift_y"]) + (r << cfg["shift_r"])
    rounded = fixed_point.round_half_even_shift(total, cfg["shift_out"])
    return fixed_point.saturate(
        rounded - 128 * cfg["sum_unsigned"], cfg["sum_low"], cfg["sum_high"]
    )


def bytes_of_beat(record, at, config):
    """Return the (P, N) bytes of the beat of a cycle."""
    if not one_by_one(config):
        return unpack(record[at]["beat.bytes"], 8, (config.pixels, config.outputs))
    cycles = record[at - config.pixels + 1 : at + 1]
    return np.array([unpack(cycle["beat.bytes"], 8, config.outputs) for cycle in cycles])


def random_cfg(rng, *, residual):
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    cfg = {"low": low, "high": high, "residual": residual, "sum_low": -100, "sum_high": 120}
    for name in ("out_unsigned", "residual_unsigned", "sum_unsigned"):
        cfg[name] = int(rng.integers(0, 2))
    return cfg | {name: int(rng.integers(0, 6)) for name in ("shift_y", "shift_r", "shift_out")}


SHAPES = [(4, 3, 2), (4, 3, 1), (1, 1, 1), (2, 5, 5), (1, 5, 2), (2, 2, 1), (1, 4, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("residual", [0, 1])
def test_bytes_are_exact_at_the_declared_latency_and_rate(rng, shape, residual):
    shape = config(*shape)
    cfg = random_cfg(rng, residual=residual)
    spacings = shape.post_beats + rng.choice([0, 0, 0, 1, 4], 30)
    record, groups = run_drains(rng, shape, cfg=cfg, spacings=spacings)
    latency = PostProcess.latency(shape)
    assert [at for at, c in enumerate(record) if c["beat.valid"]] == [
        group["at"] + latency for group in groups
    ]
    for group in groups:
        cycle = record[group["at"] + latency]
        got = bytes_of_beat(record, group["at"] + latency, shape)
        np.testing.assert_array_equal(got, expected_bytes(cfg, group))
        assert cycle["beat.byte"] == 0
        assert (cycle["beat.group_first"], cycle["beat.group_last"]) == (
            group["first"],
            group["last"],
        )
    assert sum(c["residual.pop"] for c in record) == (len(groups) if residual else 0)
    assert sum(c["block_done"] for c in record) == 10


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("segments", [1, 2, 5])
def test_a_raw_layer_gives_its_sums_byte_by_byte(rng, shape, segments):
    shape = config(*shape)
    period = max(segments, shape.post_beats)
    cfg = {"raw": 1, "segments_last": segments - 1, "out_unsigned": 1, "low": -3, "high": 5}
    spacings = 4 * period + rng.choice([0, 0, 3], 9)
    record, groups = run_drains(rng, shape, cfg=cfg, spacings=spacings)
    beats = [
        (group["at"] + PostProcess.latency(shape) + k * period, k, group)
        for group in groups
        for k in range(4)
    ]
    assert [at for at, c in enumerate(record) if c["beat.valid"]] == [at for at, _, _ in beats]
    for at, k, group in beats:
        cycle = record[at]
        acc = (group["sums"] + group["parameters"].bias).astype("<i4")
        got = bytes_of_beat(record, at, shape)
        octets = acc.view(np.int8).reshape(shape.pixels, shape.outputs, 4)
        np.testing.assert_array_equal(got, octets[..., k])
        assert (cycle["beat.byte"], cycle["beat.group_last"]) == (k, group["last"] and k == 3)
    assert sum(c["block_done"] for c in record) == 3


def test_a_raw_layer_with_a_fused_sum_gives_bytes_to_the_sum(rng):
    shape = config(2, 3, 2)
    cfg = random_cfg(rng, residual=0) | {"raw": 1, "pool_sum": 1}
    record, groups = run_drains(rng, shape, cfg=cfg, spacings=[2] * 6)
    got = [unpack(c["beat.bytes"], 8, (3, 2)).tolist() for c in record if c["beat.valid"]]
    assert got == [expected_bytes(cfg, group).tolist() for group in groups]


def test_beats_are_announced_and_parameters_given_back_only_when_read(rng):
    shape = config(2, 3, 1)
    record, groups = run_drains(rng, shape, cfg=random_cfg(rng, residual=0), spacings=[3] * 6)
    for now, later in zip(record, record[LOOKAHEAD:], strict=False):
        assert now["beat.ahead"] == later["beat.valid"]
        if now["beat.ahead"]:
            assert now["beat.ahead_byte"] == later["beat.byte"]
            assert now["beat.ahead_first"] == later["beat.group_first"]
    done = [at for at, c in enumerate(record) if c["block_done"]]
    assert done == [group["at"] + shape.post_beats for group in groups if group["last"]]
