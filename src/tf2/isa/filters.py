"""The filter stream: for each block of N output channels, its parameters, then its filter words.

A block belongs to one group of outputs of one layer; blocks follow each other in the order in which
layers run, without gaps, from the start of the stream. A filter word holds N x C weights, output
channel by output channel, lowest bits first. Words are `OverlayConfig.filter_word_bytes` long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.numerics import pot4


@dataclass(frozen=True, kw_only=True, eq=False)
class Parameters:
    """Bias and rescaling of N output channels; arrays of N integers.

    Attributes:
        bias: int32: the layer's bias, ``-zero_point * sum(weights)`` and, with "sac" lanes, the
            number of negative codes.
        multiplier: 0..255.
        shift: 0..17.
        negative_multiplier: -255..255, where the accumulator is below zero; the same as multiplier
            where nothing differs.
        negative_shift: 0..17.
    """

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    negative_multiplier: NDArray[np.int64]
    negative_shift: NDArray[np.int64]


PARAMETER_FIELDS = (
    ("bias", 32, True),
    ("multiplier", 8, False),
    ("shift", 5, False),
    ("negative_multiplier", 9, True),
    ("negative_shift", 5, False),
)
"""Name, bits and signedness of the parameters in their 64 bits, lowest first; the rest is 0."""


def encode_parameters(parameters: Parameters, config: OverlayConfig) -> bytes:
    """Return the parameter words of one block."""
    packed = np.zeros(config.outputs, dtype=np.uint64)
    offset = 0
    for name, bits, _ in PARAMETER_FIELDS:
        value = np.asarray(getattr(parameters, name), dtype=np.int64) & ((1 << bits) - 1)
        packed |= value.astype(np.uint64) << np.uint64(offset)
        offset += bits
    return (
        packed.astype("<u8")
        .tobytes()
        .ljust(config.parameter_words * config.filter_word_bytes, b"\0")
    )


def decode_parameters(data: bytes, config: OverlayConfig) -> Parameters:
    """Return what `encode_parameters` wrote."""
    packed = np.frombuffer(data[: 8 * config.outputs], dtype="<u8")
    fields = {}
    offset = 0
    for name, bits, signed in PARAMETER_FIELDS:
        value = ((packed >> np.uint64(offset)) & np.uint64((1 << bits) - 1)).astype(np.int64)
        fields[name] = (
            np.where(value >> (bits - 1), value - (1 << bits), value) if signed else value
        )
        offset += bits
    return Parameters(**fields)


def encode_words(weights: NDArray[np.integer], config: OverlayConfig) -> bytes:
    """Return filter words of integer weights (words, N, C): 0 or +-2**k, or int8 for "mac"."""
    if config.lane == "mac":
        return np.ascontiguousarray(weights, dtype=np.int8).tobytes()
    codes = pot4.encode(weights).reshape(len(weights), -1)
    if codes.shape[1] == 1:  # the upper half of the byte is never looked at
        codes = np.pad(codes, ((0, 0), (0, 1)), constant_values=pot4.ZERO)
    return (codes[:, 0::2] | (codes[:, 1::2] << 4)).astype(np.uint8).tobytes()


def decode_words(data: bytes, config: OverlayConfig) -> NDArray[np.int8]:
    """Return the weights (words, N, C) of filter words."""
    shape = (-1, config.outputs, config.inputs)
    if config.lane == "mac":
        return np.frombuffer(data, dtype=np.int8).reshape(shape)
    pairs = np.frombuffer(data, dtype=np.uint8)
    codes = np.stack([pairs & 15, pairs >> 4], axis=1).astype(np.uint8)
    codes = codes.reshape(-1, 2 * config.filter_word_bytes)[:, : config.outputs * config.inputs]
    return pot4.decode(codes).reshape(shape)


def block_bytes(length: int, config: OverlayConfig) -> int:
    """Return the bytes of a block with that many filter words."""
    return (config.parameter_words + length) * config.filter_word_bytes
