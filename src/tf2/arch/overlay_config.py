"""The parameters of one overlay, from which the gateware is made and for which programs are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from tf2.errors import ConfigError

LaneKind = Literal["sac", "mac"]
"""What a lane does with a weight: shift and accumulate a power of two, or multiply by an int8."""

PARAMETER_BYTES = 8
"""Bytes of one output channel's bias, multipliers and shifts in the filter stream."""


@dataclass(frozen=True, kw_only=True)
class OverlayConfig:
    """One overlay. Lanes = outputs x pixels x inputs; any of the three may be 1.

    Attributes:
        name: Of the configuration; no part of its identity.
        outputs: N, output channels computed at once: the number of PEs. A power of two.
        pixels: P, positions of the output raster computed at once. Odd keeps stride 2 at full rate.
        inputs: C, input channels summed at once, and bytes of a feature word. A power of two, at
            least N.
        lane: "sac" takes 4-bit codes; "mac" takes int8 weights.
        feature_rows: Rows of the Feature Buffer; a row is P words of C bytes, a bank a word.
        filter_words: Words of C weights that each PE's Filter Cache holds, a ring. A power of two.
        post_pixels: Positions that post-processing takes a cycle, 1..P, N channels each.
        pool_groups: Groups of P positions that the pooling unit's line buffer holds; a fused or
            stand-alone max pooling needs ceil(raster width / P) + 1. A power of two.
        ddr_bytes: Bytes of DDR a cycle, the width of the AXI ports. A power of two.
    """

    name: str = "custom"
    outputs: int
    pixels: int
    inputs: int
    lane: LaneKind = "sac"
    feature_rows: int
    filter_words: int
    post_pixels: int
    pool_groups: int
    ddr_bytes: int

    def __post_init__(self) -> None:
        for field, low, high in (
            ("outputs", 1, 64), ("inputs", 1, 64), ("filter_words", 16, 1 << 16),
            ("pool_groups", 4, 1 << 12), ("ddr_bytes", 4, 128),
        ):  # fmt: skip
            value = getattr(self, field)
            if not low <= value <= high or value & (value - 1):
                raise ConfigError(f"{field} = {value}: it must be a power of two, {low} to {high}")
        for field, low, high in (
            ("pixels", 1, 31), ("feature_rows", 16, 1 << 16), ("post_pixels", 1, self.pixels),
        ):  # fmt: skip
            value = getattr(self, field)
            if not low <= value <= high:
                raise ConfigError(f"{field} = {value}: it must be {low} to {high}")
        if self.outputs > self.inputs:
            raise ConfigError(
                f"outputs = {self.outputs} exceeds inputs = {self.inputs}: a feature word of "
                "`inputs` channels is written in parts of `outputs`"
            )
        if self.lane not in ("sac", "mac"):
            raise ConfigError(f"lane = {self.lane!r}: it must be 'sac' or 'mac'")

    @property
    def lanes(self) -> int:
        """Shift-accumulates (or multiply-accumulates) a cycle."""
        return self.outputs * self.pixels * self.inputs

    @property
    def parts(self) -> int:
        """Groups of N channels in a feature word of C."""
        return self.inputs // self.outputs

    @property
    def weight_bits(self) -> int:
        """Bits of a weight in DDR and in the Filter Cache."""
        return 4 if self.lane == "sac" else 8

    @property
    def filter_word_bytes(self) -> int:
        """Bytes of one word of all PEs' filters in the filter stream, at least one."""
        return max(1, self.outputs * self.inputs * self.weight_bits // 8)

    @property
    def parameter_words(self) -> int:
        """Filter words that the parameters of one group of N output channels take."""
        return -(-PARAMETER_BYTES * self.outputs // self.filter_word_bytes)

    @property
    def parameter_slots(self) -> int:
        """Blocks of parameters held on chip: so many groups of outputs may be loaded ahead.

        Enough that the parameters of blocks of 32 words last as long as the Filter Cache.
        """
        return max(8, self.filter_words // 32)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of the Feature Buffer."""
        return self.pixels * self.inputs

    @property
    def row_beats(self) -> int:
        """DDR beats of a row; its last beat is filled up."""
        return -(-self.row_bytes // self.ddr_bytes)

    @property
    def post_beats(self) -> int:
        """Cycles that post-processing takes for a group of P positions."""
        return -(-self.pixels // self.post_pixels)

    @property
    def hash(self) -> int:
        """32 bits that tell configurations apart; the hardware holds them in a register."""
        parameters = {k: v for k, v in asdict(self).items() if k != "name"}
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).digest()
        return int.from_bytes(digest[:4], "little")
