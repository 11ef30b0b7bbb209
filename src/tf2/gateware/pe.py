"""One output channel: its filters, and a dot product and an accumulator for each position."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.dot_product import DotProduct
from tf2.gateware.lane import DECODED, decode, weight_shape
from tf2.gateware.pipeline import delayed
from tf2.gateware.ram import add_ram
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import features_layout, word_bits


class PE(wiring.Component):
    """Sum the products of one output channel over the filter words of a group, for P positions.

    A weight is decoded once and shared by the P positions. Initiation interval 1; nothing stalls:
    a cycle without `valid` is a pause.

    Timing: a word named by `address` meets the features that arrive `FEATURES_AFTER` cycles later;
    `sums` is there `latency(config)` cycles after the `last` one, and keeps its value until the
    next. A word written in cycle w may be named from cycle w + 1 on, and a word named in cycle w
    may be overwritten from cycle w on.

    Members: write_en, write_address, write_word In: C weights into the Filter Cache; valid, last,
    address In; clear In: forget the group under way; features In: P x C x signed(8); sums Out:
    P x signed(32), wrapping.
    """

    FEATURES_AFTER = 3
    """Cycles: the address register, the memory, its output register. The decoder's register has
    its like on the features: they come from far, and every PE has its own copy."""

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "write_en": In(1),
            "write_address": In(word_bits(config)),
            "write_word": In(data.ArrayLayout(weight_shape(config.lane), config.inputs)),
            "valid": In(1),
            "last": In(1),
            "clear": In(1),
            "address": In(word_bits(config)),
            "features": In(features_layout(config)),
            "sums": Out(data.ArrayLayout(signed(32), config.pixels)),
        })  # fmt: skip

    @classmethod
    def latency(cls, config: OverlayConfig) -> int:
        """Return the cycles from `last` to its `sums`."""
        return cls.FEATURES_AFTER + 1 + DotProduct.latency(config.inputs) + 1

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        weights = self._weights(m)
        to_sums = self.latency(self._config) - 1
        valid = delayed(m, self.valid, to_sums, reset=True, name="valid")
        last = delayed(m, self.last, to_sums, name="last")
        features = delayed(m, self.features, 1, name="features")
        for p in range(self._config.pixels):
            dot = add_shared(m, f"dot_{p}", "dot_product", self._dot_product, platform)
            accumulator = Signal(signed(32), name=f"accumulator_{p}")  # 0 before each group
            drain = Signal(signed(32), name=f"drain_{p}", reset_less=True)
            total = Signal(signed(32), name=f"total_{p}")
            m.d.comb += [
                Value.cast(dot.features).eq(Value.cast(features[p])),
                Value.cast(dot.weights).eq(weights),
                total.eq(accumulator + dot.sum),
                self.sums[p].eq(drain),
            ]
            with m.If(valid):
                m.d.sync += accumulator.eq(total)
            with m.If(valid & last):
                m.d.sync += [drain.eq(total), accumulator.eq(0)]
            with m.If(self.clear):
                m.d.sync += accumulator.eq(0)
        return m

    def _dot_product(self) -> DotProduct:
        return DotProduct(self._config.lane, self._config.inputs)

    def _weights(self, m: Module) -> Value:
        """Return the decoded weights of the word named 4 cycles ago, through the Filter Cache."""
        config = self._config
        read = add_ram(
            m,
            "cache",
            depth=config.filter_words,
            write_en=delayed(m, self.write_en, 1, reset=True, name="write_en"),
            write_address=delayed(m, self.write_address, 1, name="write_address"),
            write_data=delayed(m, Value.cast(self.write_word), 1, name="write_word"),
            read_address=delayed(m, self.address, 1, name="address"),
        )
        word = Signal(data.ArrayLayout(weight_shape(config.lane), config.inputs), reset_less=True)
        decoded = Signal(data.ArrayLayout(DECODED[config.lane], config.inputs), reset_less=True)
        m.d.sync += word.eq(read)
        m.d.sync += [
            Value.cast(decoded[i]).eq(decode(Value.cast(word[i]), config.lane))
            for i in range(config.inputs)
        ]
        return Value.cast(decoded)
