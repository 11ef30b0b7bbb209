"""Blocks of the filter stream of one instruction: weights and parameters in the lanes' order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.compiler.facts import Facts
from tf2.compiler.ops import Conv
from tf2.compiler.weights import as_terms
from tf2.isa.filters import Parameters, encode_parameters, encode_words


def filter_blocks(conv: Conv, facts: Facts, taps: tuple[int, int], config: OverlayConfig) -> bytes:
    """Return the blocks of all groups of outputs, for slice taps first..last.

    Taps outside of the map along z are left out; with none inside, one tap of zeros remains.
    """
    words = _words(conv, facts, taps, config)  # (out_groups, K, N, C)
    sums = words.sum(axis=(1, 3), dtype=np.int64)
    negatives = (words < 0).sum(axis=(1, 3)) if config.lane == "sac" else 0 * sums
    bias, *factors = (_by_group(factor, facts.out_groups, config) for factor in conv.factors)
    bias = bias - facts.source.zero_point * sums + negatives
    blocks = []
    for j in range(facts.out_groups):
        parameters = Parameters(
            bias=bias[j], multiplier=factors[0][j], shift=factors[1][j],
            negative_multiplier=factors[2][j], negative_shift=factors[3][j],
        )  # fmt: skip
        blocks += [encode_parameters(parameters, config), encode_words(words[j], config)]
    return b"".join(blocks)


def _by_group(
    values: NDArray[np.int64], out_groups: int, config: OverlayConfig
) -> NDArray[np.int64]:
    padded = np.zeros(out_groups * config.outputs, dtype=np.int64)
    padded[: len(values)] = values
    return padded.reshape(out_groups, config.outputs)


def _words(
    conv: Conv, facts: Facts, taps: tuple[int, int], config: OverlayConfig
) -> NDArray[np.int8]:
    """Return the weights as the array takes them, (out_groups, K, N, C)."""
    cover, slots = facts.cover, np.array(facts.source_slots)
    n, c = config.outputs, config.inputs
    weight = conv.weight[:, :, taps[0] : taps[1]]
    if taps == (0, 0):
        weight = np.zeros_like(conv.weight[:, :, :1])
    terms = as_terms(weight, facts.terms)  # (T, O, I, z, y, x)
    count, outs, per_group, *kernel = terms.shape
    shape = (facts.out_groups, n, count, *kernel, cover.words * c)
    words = np.zeros(shape, dtype=np.int8)
    every = np.moveaxis(terms, 2, -1)  # (T, O, z, y, x, I)
    for j in range(facts.out_groups):
        first = (cover.first + (j // cover.every) * cover.step) * c
        for group, low, high in _spans(j * n, min((j + 1) * n, outs), outs // conv.groups):
            at = slots[group * per_group : (group + 1) * per_group] - first
            block = words[j, low - j * n : high - j * n]
            block[..., at] = every[:, low:high].swapaxes(0, 1)
    words = words.reshape(facts.out_groups, n, -1, c)  # K runs over T, z, y, x, word
    return np.ascontiguousarray(words.transpose(0, 2, 1, 3))


def _spans(low: int, high: int, per_group: int):
    """Yield (group, first output, the one after the last) of outputs low..high."""
    while low < high:
        group = low // per_group
        end = min(high, (group + 1) * per_group)
        yield group, low, end
        low = end
