from __future__ import annotations

import numpy as np
import pytest
from bench import pack, run_fixed, unpack

from tf2.arch import OverlayConfig, named_config
from tf2.gateware.pe import PE
from tf2.gateware.pe_array import PEArray
from tf2.gateware.signatures import FREE_DELAY
from tf2.numerics import pot4

SOONEST = PE.FEATURES_AFTER + 1


def config(n, p, c, lane="sac"):
    return OverlayConfig(
        outputs=n, pixels=p, inputs=c, lane=lane, feature_rows=64, filter_words=16,
        post_pixels=1, pool_groups=4, ddr_bytes=8,
    )  # fmt: skip


def random_weights(rng, config, words):
    shape = (words, config.outputs, config.inputs)
    if config.lane == "mac":
        return rng.integers(-128, 128, shape)
    return np.asarray(pot4.VALUES)[rng.integers(0, 15, shape)]


def pack_word(word, config):
    return pack(word, 8) if config.lane == "mac" else pack(pot4.encode(word), 4)


def expected_sums(config, features, weights):
    """Return (P, N) sums of a group: features (K, P, C), weights (K, N, C); int32, wrapping."""
    sums = np.einsum("kpc,knc->pn", features, weights)
    if config.lane == "sac":
        sums = sums - (weights < 0).sum(axis=(0, 2))
    return sums.astype(np.int32)


def _pause(rng, config):
    """What an issue says while it is not valid."""
    return {
        "issue.last": rng.integers(0, 2),
        "issue.address": rng.integers(0, config.filter_words),
    }  # fmt: skip


def run_groups(rng, config, *, feature_latency, lengths, pauses):
    """Run groups of random lengths with pauses; return (record, when and what each must drain)."""
    dut = PEArray(config, feature_latency=feature_latency)
    weights = random_weights(rng, config, config.filter_words)
    cycles = [{} for _ in range(config.filter_words + 1)]
    for address, word in enumerate(weights):
        cycles[address] = {
            "filter_write.en": 1,
            "filter_write.address": address,
            "filter_write.word": pack_word(word, config),
        }
    expected = {}
    for length in lengths:
        features = rng.integers(-128, 128, (length, config.pixels, config.inputs))
        addresses = rng.integers(0, config.filter_words, length)
        slot, first, last = (int(rng.integers(0, n)) for n in (8, 2, 2))
        for k in range(length):
            while rng.random() < pauses:
                cycles.append(_pause(rng, config))
            now = len(cycles)
            cycles.append({
                "issue.valid": 1, "issue.last": k == length - 1,
                "issue.address": int(addresses[k]), "issue.slot": slot,
                "issue.group_first": first, "issue.group_last": last,
            })  # fmt: skip
            cycles[now]["late"] = pack(features[k], 8)
        sums = expected_sums(config, features, weights[addresses])
        expected[len(cycles) - 1 + dut.latency] = (sums, slot, first, last)
    late = {at + feature_latency: c.pop("late") for at, c in enumerate(cycles) if "late" in c}
    cycles += [{} for _ in range(feature_latency)]
    for at, features in late.items():
        cycles[at]["features"] = features
    members = [f"drain.{n}" for n in ("valid", "sums", "slot", "group_first", "group_last")]
    return run_fixed(dut, cycles, members, drain=dut.latency), expected


def check(config, record, expected):
    assert [at for at, cycle in enumerate(record) if cycle["drain.valid"]] == list(expected)
    held = None
    for at, cycle in enumerate(record):
        held = expected.get(at, held)
        if held is not None:
            sums, *rest = held
            got = unpack(cycle["drain.sums"], 32, (config.pixels, config.outputs))
            np.testing.assert_array_equal(got, sums)
            assert [cycle[f"drain.{n}"] for n in ("slot", "group_first", "group_last")] == rest


@pytest.mark.parametrize(
    "shape",
    [(4, 3, 8), (4, 3, 4, "mac"), (1, 1, 1), (1, 5, 2), (2, 1, 16), (4, 2, 4), (1, 1, 1, "mac")],
)
def test_sums_are_exact_at_the_declared_latency_and_stay_until_the_next(rng, shape):
    shape = config(*shape)
    record, expected = run_groups(
        rng, shape, feature_latency=6, lengths=rng.integers(1, 9, 25), pauses=0.3
    )
    check(shape, record, expected)


@pytest.mark.parametrize("feature_latency", [SOONEST, SOONEST + 1, FREE_DELAY + PE.FEATURES_AFTER])
def test_a_group_of_one_word_can_be_issued_every_cycle(rng, feature_latency):
    shape = config(2, 2, 4)
    record, expected = run_groups(
        rng, shape, feature_latency=feature_latency, lengths=[1] * 40, pauses=0
    )
    check(shape, record, expected)


@pytest.mark.parametrize("feature_latency", [SOONEST, SOONEST + 1])
def test_a_word_can_be_issued_in_the_cycle_in_which_it_is_written(feature_latency):
    shape = config(1, 1, 4, "mac")
    dut = PEArray(shape, feature_latency=feature_latency)
    cycles = [{} for _ in range(feature_latency + 1)]
    cycles[0] = {
        "filter_write.en": 1, "filter_write.address": 5,
        "filter_write.word": pack(np.array([1, -2, 3, 4]), 8),
        "issue.valid": 1, "issue.last": 1, "issue.address": 5,
    }  # fmt: skip
    cycles[feature_latency]["features"] = pack(np.array([10, 20, 30, -40]), 8)
    record = run_fixed(dut, cycles, ["drain.valid", "drain.sums"], drain=dut.latency)
    (sums,) = [cycle["drain.sums"] for cycle in record if cycle["drain.valid"]]
    assert sums == (10 - 40 + 90 - 160) % 2**32


def test_sums_wrap_at_int32():
    shape = config(1, 1, 64, "mac")
    groups = 2200  # of 64 * 2**14 each: above 2**31
    dut = PEArray(shape, feature_latency=SOONEST)
    word = pack(np.full(64, -128), 8)
    cycles = [{"filter_write.en": 1, "filter_write.word": word}, {}]
    cycles += [
        {"issue.valid": 1, "issue.last": k == groups - 1, "features": word} for k in range(groups)
    ]
    cycles += [{"features": word}] * dut.latency
    (sums,) = {c["drain.sums"] for c in run_fixed(dut, cycles, ["drain.sums"])[-1:]}
    assert sums == (groups * 64 * 128 * 128) % 2**32


@pytest.mark.parametrize("feature_latency", [SOONEST, FREE_DELAY + PE.FEATURES_AFTER])
def test_words_are_readable_a_cycle_after_writing_and_replaceable_after_free_delay(
    rng, feature_latency
):
    shape = config(1, 1, 4)
    dut = PEArray(shape, feature_latency=feature_latency)
    old, new = random_weights(rng, shape, 2)
    write = {"filter_write.en": 1, "filter_write.address": 3}
    issue = {"issue.valid": 1, "issue.last": 1, "issue.address": 3}
    features = rng.integers(-128, 128, (1, 1, 4))
    cycles = [{"features": pack(features, 8)} for _ in range(3 + FREE_DELAY)]
    cycles[0] |= write | {"filter_write.word": pack_word(old, shape)}
    cycles[1] |= issue
    cycles[1 + FREE_DELAY] |= write | {"filter_write.word": pack_word(new, shape)}
    cycles[2 + FREE_DELAY] |= issue
    cycles += [{"features": pack(features, 8)}] * dut.latency
    record = run_fixed(dut, cycles, ["drain.valid", "drain.sums"], drain=2)
    sums = [unpack(c["drain.sums"], 32, 1)[0] for c in record if c["drain.valid"]]
    assert sums == [expected_sums(shape, features, w[None])[0, 0] for w in (old, new)]


def test_the_named_small_configurations_compute(rng):
    for name in ("test-small", "test-mac"):
        shape = named_config(name)
        record, expected = run_groups(
            rng, shape, feature_latency=6, lengths=[3, 1, 1, 5], pauses=0.2
        )
        check(shape, record, expected)
