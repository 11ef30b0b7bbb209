from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench import pack, run_benches, unpack
from layer_bench import CONFIGS, content, fill

from tf2.gateware.feature_bank import block_rows
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.signatures import row_bits

CYCLES = 500


@pytest.mark.parametrize(
    ("name", "busy", "feature_rows"),
    [*((name, busy, 23) for name in CONFIGS for busy in (0.2, 0.8)), ("five pixels", 0.8, 3075)],
)
def test_every_user_sees_one_memory_in_the_order_of_priorities(rng, name, busy, feature_rows):
    """3,075 rows: a bank of three memories."""
    config = replace(CONFIGS[name], feature_rows=feature_rows)
    p, c, n = config.pixels, config.inputs, config.outputs
    latency = FeatureBuffer.LATENCY
    shape = (config.feature_rows, p, c)
    model = rng.integers(-128, 128, shape).astype(np.int8)
    dut = FeatureBuffer(config)
    answers = {"read": {}, "residual": {}, "row_read": {}}  # by the cycle they are due in
    banks = np.arange(p)

    def rows(count):
        return rng.integers(0, config.feature_rows, count)

    async def bench(ctx):
        fill(ctx, dut, model)
        pending = {}
        for cycle in range(CYCLES):
            for user in ("residual", "row_write", "row_read"):  # a stream keeps what it offers
                if user not in pending and rng.random() < busy:
                    pending[user] = (rows(p), rng.integers(-128, 128, (p, c)).astype(np.int8))
            write, port_a = rng.random() < busy / 2, rng.random() < busy
            ctx.set(dut.write.valid, write)
            en, part, at = rng.random(p) < 0.7, int(rng.integers(config.parts)), rows(p)
            few = rng.integers(-128, 128, (p, n)).astype(np.int8)
            ctx.set(dut.write.en, pack(en, 1))
            ctx.set(dut.write.part, part)
            ctx.set(dut.write.rows.as_value(), pack(at, row_bits(config)))
            ctx.set(dut.write.bytes.as_value(), pack(few, 8))
            ctx.set(dut.residual.request.valid, "residual" in pending)
            ctx.set(dut.row_write.rows.valid, "row_write" in pending)
            ctx.set(dut.row_read.request.valid, "row_read" in pending)
            if "residual" in pending:
                ctx.set(
                    dut.residual.request.payload.as_value(),
                    pack(pending["residual"][0], row_bits(config)),
                )
            if "row_write" in pending:
                ctx.set(dut.row_write.rows.payload.row, int(pending["row_write"][0][0]))
                ctx.set(
                    dut.row_write.rows.payload.data.as_value(), pack(pending["row_write"][1], 8)
                )
            if "row_read" in pending:
                ctx.set(dut.row_read.request.payload, int(pending["row_read"][0][0]))
            a_rows = rows(p)
            ctx.set(dut.read.en, port_a)
            ctx.set(dut.read.rows.as_value(), pack(a_rows, row_bits(config)))

            for user, member in (("residual", dut.residual), ("row_read", dut.row_read)):
                due = answers[user].pop(cycle, None)
                assert ctx.get(member.response_valid) == (due is not None), (cycle, user)
                if due is not None:
                    got = unpack(ctx.get(member.response.as_value()), 8, (p, c))
                    np.testing.assert_array_equal(got, due)
            if (due := answers["read"].pop(cycle, None)) is not None:
                got = unpack(ctx.get(dut.read.data.as_value()), 8, (p, c))
                np.testing.assert_array_equal(got[due[1]], due[0][due[1]])

            order = [u for u in ("residual", "row_write", "row_read") if u in pending]
            served = None if write or not order else order[0]
            streams = {
                "residual": dut.residual.request,
                "row_write": dut.row_write.rows,
                "row_read": dut.row_read.request,
            }
            for user in order:
                assert ctx.get(streams[user].ready) == (user == served), (cycle, user)
            before = model.copy()
            if write:
                model[at[en], banks[en], part * n : (part + 1) * n] = few[en]
            elif served == "row_write":
                row, values = pending.pop("row_write")
                model[row[0]] = values
            elif served == "residual":
                answers["residual"][cycle + latency] = model[pending.pop("residual")[0], banks]
            elif served == "row_read":
                answers["row_read"][cycle + latency] = model[pending.pop("row_read")[0][0]].copy()
            if port_a:
                defined = (before[a_rows, banks] == model[a_rows, banks]).all(axis=1)
                answers["read"][cycle + latency] = (model[a_rows, banks], defined)
            await ctx.tick()
        ctx.set(dut.write.valid, 0)
        ctx.set(dut.row_write.rows.valid, 0)
        await ctx.tick().repeat(latency)
        np.testing.assert_array_equal(content(ctx, dut, shape), model)

    run_benches(dut, bench, deadline_cycles=CYCLES + latency + 1)


def test_memories_of_a_bank_are_powers_of_two_but_for_the_last():
    assert block_rows(5120) == [4096, 1024]
    assert block_rows(700) == [700]
    assert block_rows(3075) == [2048, 1024, 3]
