"""Proofs of the Feature Buffer: who is served at port B, and what is read."""

from __future__ import annotations

import pytest
from amaranth.hdl import Cat, Value
from proofs import Spec, mutant, prove, refute

from tf2.arch import OverlayConfig
from tf2.gateware.feature_buffer import FeatureBuffer

pytestmark = pytest.mark.slow  # half a minute of the solver

CONFIG = OverlayConfig(
    outputs=2, pixels=2, inputs=4, feature_rows=1040, filter_words=16, post_pixels=1,
    pool_groups=4, ddr_bytes=4,
)  # fmt: skip
"""With two memories a bank of the Feature Buffer, and two parts a word."""


def feature_buffer(unit: type = FeatureBuffer, bank: int = 1) -> Spec:
    """Any row of a bank, and what was written to it last."""
    spec = Spec(unit(CONFIG))
    buffer, m = spec.unit, spec.m
    write, store, load = buffer.write, buffer.row_write.rows, buffer.row_read.request
    residual = buffer.residual.request
    for user, before in (
        (residual, [write]), (store, [write, residual]), (load, [write, residual, store])
    ):  # fmt: skip
        spec.hold(
            "the first that asks is served", user.ready == ~Cat(u.valid for u in before).any()
        )

    row = spec.constant(range(CONFIG.feature_rows), "row")
    spec.assume(row < CONFIG.feature_rows)
    size = 8 * CONFIG.inputs
    last = spec.register(size, "last_written")
    few = write.valid & write.en[bank] & (write.rows[bank] == row)
    whole = store.valid & store.ready & (store.payload.row == row)
    part = Cat(write.bytes[bank])
    with m.If(few):
        m.d.sync += last.word_select(write.part, len(part)).eq(part)
    with m.Elif(whole):
        m.d.sync += last.eq(Value.cast(store.payload.data[bank]))

    def late(value: Value) -> Value:
        for _ in range(FeatureBuffer.LATENCY):
            value = spec.past(value)
        return value

    def read(name: str, asked: Value, response: Value) -> None:
        """Assert what is read when the answer is due."""
        spec.hold(name, Value.cast(response) == late(last), when=late(asked))

    port_a = buffer.read
    read("port A reads what was written last",
         port_a.en & (port_a.rows[bank] == row) & ~few & ~whole, port_a.data[bank])  # fmt: skip
    for name, user, asked_row in (
        ("residual", buffer.residual, residual.payload[bank]),
        ("row_read", buffer.row_read, load.payload),
    ):
        taken = spec.wire(user.request.valid & user.request.ready, f"{name}_taken")
        read(f"{name} reads what was written last", taken & (asked_row == row), user.response[bank])
        spec.hold(f"{name} is answered in time", user.response_valid == late(taken))

    for block, (begin, end) in enumerate(((0, 1024), (1024, CONFIG.feature_rows))):
        word = spec.content(f"bank{bank}.memory_{block}", row - begin, size)
        spec.hold(
            "memory holds it a cycle later",
            word == spec.past(last),
            when=(row >= begin) & (row < end),
        )
    return spec


def test_port_b_serves_the_first_and_every_read_gives_what_was_written_last():
    prove(feature_buffer(), steps=FeatureBuffer.LATENCY + 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("residual.ready & ~residual.valid", "residual.ready"),
        ("row_write.ready & ~row_write.valid", "row_write.ready"),
        ("part & (self.write.valid & self.write.en[b])", "part & (self.write.valid)"),
        ("request.valid & request.ready, self.LATENCY", "request.valid, self.LATENCY"),
    ],
)
def test_a_broken_feature_buffer_is_found(old, new):
    refute(feature_buffer(mutant(FeatureBuffer, (old, new))), cycles=6)
