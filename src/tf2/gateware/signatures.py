"""What the units say to each other. One clock; inside the array's pipeline nothing ever stalls.

Time. The Scheduler issues at most one filter word a cycle. Whatever an issue causes happens a fixed
number of cycles later in every unit (their LATENCY), so units need no handshake: a beat is valid or
it is not. Only the way to DDR and the instruction queues have handshakes (streams).
"""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from tf2.arch import OverlayConfig
from tf2.isa.encoding import BANK, SIZE, TRANSFER_FIELDS, Field, layer_fields

FREE_DELAY = 4
"""Cycles from an issue that needs a filter word for the last time to its place being given back."""

POSITION_FLAGS_AFTER = 2
"""Cycles from the first position of a group to what is known of all of them (`raster.AT`), where
positions come one by one: the time of `RasterWalk`."""


def one_by_one(config: OverlayConfig) -> bool:
    """Return whether pooling gets the positions of a group one a cycle, not all at once.

    Then it needs one set of comparators. What is known of a group comes in time for its first
    position if it takes as long as the positions.
    """
    return config.post_pixels == 1 and config.pixels == POSITION_FLAGS_AFTER + 1


def layout_of(fields: tuple[Field, ...]) -> data.StructLayout:
    """Return instruction fields as a layout, the first at the lowest bit."""
    return data.StructLayout(
        {f.name: signed(f.bits) if f.signed else unsigned(f.bits) for f in fields}
    )


def layer_layout(config: OverlayConfig) -> data.StructLayout:
    """Return the layout of a `Layer` instruction."""
    return layout_of(layer_fields(config))


TRANSFER = layout_of(TRANSFER_FIELDS)
"""Layout of `Load` and `Store`."""


def row_bits(config: OverlayConfig) -> int:
    """Return the bits of a row address of the Feature Buffer."""
    return max(1, (config.feature_rows - 1).bit_length())


def word_bits(config: OverlayConfig) -> int:
    """Return the bits of an address of a Filter Cache."""
    return (config.filter_words - 1).bit_length()


def bytes_layout(config: OverlayConfig) -> data.ArrayLayout:
    """Return P x N bytes, [position][output channel]: what post-processing gives."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), config.outputs), config.pixels)


def sums_layout(config: OverlayConfig) -> data.ArrayLayout:
    """Return P x N int32, [position][output channel]: what the PE Array gives."""
    return data.ArrayLayout(data.ArrayLayout(signed(32), config.outputs), config.pixels)


def features_layout(config: OverlayConfig) -> data.ArrayLayout:
    """Return P x C bytes, [position][input channel]: what the Feature Loader feeds the array."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), config.inputs), config.pixels)


def row_layout(config: OverlayConfig) -> data.ArrayLayout:
    """Return P words of C bytes, [bank][byte]: a row of the Feature Buffer."""
    return features_layout(config)


def filter_word_layout(config: OverlayConfig) -> data.ArrayLayout:
    """Return N x C weights, [output channel][input channel]: a word of the filter stream."""
    weight = unsigned(4) if config.lane == "sac" else signed(8)
    return data.ArrayLayout(data.ArrayLayout(weight, config.inputs), config.outputs)


class FilterWrite(Signature):
    """Filter Loader -> PE Array: one filter word of all PEs.

    Members: en; address: place in the ring; word.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "en": Out(1),
            "address": Out(word_bits(config)),
            "word": Out(filter_word_layout(config)),
        })  # fmt: skip


class ParameterWrite(Signature):
    """Filter Loader -> post-processing: the parameters of N output channels.

    Members: en; slot; parameters: N x 64 bits as `tf2.isa.filters.PARAMETER_FIELDS`.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "en": Out(1),
            "slot": Out(range(config.parameter_slots)),
            "parameters": Out(data.ArrayLayout(unsigned(64), config.outputs)),
        })  # fmt: skip


class Issue(Signature):
    """Scheduler -> PE Array: use one filter word.

    The features for it arrive at the PE Array `FeatureRead.LATENCY` cycles later.

    Members: valid; last: of its group, accumulators are handed on and begin anew; address: of the
    filter word; slot: of the parameters; group_first: in the first group of the raster; group_last:
    in the last one.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "valid": Out(1),
            "last": Out(1),
            "address": Out(word_bits(config)),
            "slot": Out(range(config.parameter_slots)),
            "group_first": Out(1),
            "group_last": Out(1),
        })  # fmt: skip


class Tap(Signature):
    """Scheduler -> Feature Read: what the issue of the same cycle reads, relative to its lanes.

    Members: bank, row: positions from the lane's first tap, the channel word's plane included; y,
    x: rows and columns of the map from there.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "bank": Out(BANK),
            "row": Out(row_bits(config)),
            "y": Out(SIZE + 1),
            "x": Out(SIZE + 1),
        })  # fmt: skip


class BankRead(Signature):
    """Feature Read -> Feature Buffer, port A: a word of every bank.

    Members: en; rows: of each bank; data: `FeatureBuffer.LATENCY` cycles later.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "en": Out(1),
            "rows": Out(data.ArrayLayout(row_bits(config), config.pixels)),
            "data": In(row_layout(config)),
        })  # fmt: skip


class BankWrite(Signature):
    """Feature Writer -> Feature Buffer, port B: N bytes of any banks, at once.

    Members: valid: the port is taken; en: which banks; part: of their words; rows; bytes, by bank.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "valid": Out(1),
            "en": Out(config.pixels),
            "part": Out(range(config.parts)),
            "rows": Out(data.ArrayLayout(row_bits(config), config.pixels)),
            "bytes": Out(bytes_layout(config)),
        })  # fmt: skip


class BankRequest(Signature):
    """Residual Reader -> Feature Buffer, port B: a word of every bank, when the port is free.

    Members: request: a stream of the rows of each bank; response_valid, response: its words,
    `FeatureBuffer.LATENCY` cycles after it was taken, in order; they cannot be held up.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "request": Out(stream.Signature(
                data.ArrayLayout(row_bits(config), config.pixels)
            )),
            "response_valid": In(1),
            "response": In(row_layout(config)),
        })  # fmt: skip


class Drain(Signature):
    """PE Array -> post-processing: the sums of one group, without bias.

    `sums` keeps its value until the next valid beat, which is at least `interval` cycles later.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "valid": Out(1),
            "sums": Out(sums_layout(config)),
            "slot": Out(range(config.parameter_slots)),
            "group_first": Out(1),
            "group_last": Out(1),
        })  # fmt: skip


class WriteBeat(Signature):
    """Post-processing and pooling -> Feature Writer: the outputs of one group.

    A beat may be followed by the next after `segments` cycles (the field segments_last + 1); raw
    layers give four beats a group. A beat without any emitting lane is given too.

    Members: valid; emit: which lanes; bank, row: where each lane's output goes, plane 0; segment:
    raster row of each lane less that of lane 0; byte: k of a raw int32, else 0; bytes; group_last:
    the last beat of this group of outputs.
    """

    def __init__(self, config: OverlayConfig) -> None:
        p = config.pixels
        super().__init__({
            "valid": Out(1),
            "emit": Out(p),
            "bank": Out(data.ArrayLayout(5, p)),
            "row": Out(data.ArrayLayout(row_bits(config), p)),
            "segment": Out(data.ArrayLayout(4, p)),
            "byte": Out(2),
            "bytes": Out(bytes_layout(config)),
            "group_last": Out(1),
        })  # fmt: skip


class ResidualPort(Signature):
    """Post-processing takes residual bytes, one group at a time, in order.

    Members: pop (from post-processing): the group at the head was taken; valid: the head is there
    (always, when post-processing needs it: `interval` leaves the port time); bytes: its P x N
    bytes, lane by lane; where positions come `one_by_one` bank by bank, so that one multiplexer
    does: lane i's are in lane{i}_residual_bank.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "pop": In(1),
            "valid": Out(1),
            "bytes": Out(bytes_layout(config)),
        })  # fmt: skip


class RowWrite(Signature):
    """Feature Loader (DDR side) -> Feature Buffer: whole rows, when port B is free. A stream."""

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "rows": Out(stream.Signature(data.StructLayout(
                {"row": row_bits(config), "data": row_layout(config)}
            ))),
        })  # fmt: skip


class RowRead(Signature):
    """Store side -> Feature Buffer: asks for whole rows, when port B is free.

    Members: request: a stream of row addresses; response: valid and data, `FeatureBuffer.LATENCY`
    cycles after the request was taken, in order; it cannot be held up.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "request": Out(stream.Signature(row_bits(config))),
            "response_valid": In(1),
            "response": In(row_layout(config)),
        })  # fmt: skip


class DdrRead(Signature):
    """A reader -> DdrReader: asks for bursts, takes every beat when it comes.

    Members: request: a stream of (address: byte offset in the arena, beats - 1); a reader asks only
    for what it has room for; beat_valid, beat: the answers, in order, never held up.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "request": Out(stream.Signature(data.StructLayout(
                {"address": 40, "beats_last": 8}
            ))),
            "beat_valid": In(1),
            "beat": In(8 * config.ddr_bytes),
        })  # fmt: skip


class DdrWrite(Signature):
    """Store side -> DdrWriter: bursts, then their beats; `done` as a burst gets its answer."""

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "request": Out(stream.Signature(data.StructLayout(
                {"address": 40, "beats_last": 8}
            ))),
            "beats": Out(stream.Signature(8 * config.ddr_bytes)),
            "done": In(1),
        })  # fmt: skip
