"""4-bit power-of-two weights: the code book, and four codes packed in a 16-bit word.

Code book (the original TF2's, ``4bit_data_format.txt``), for a layer with lowest exponent ``min``::

    code      0 ..  6   ->  -2**(min + code)
    code      7         ->   0
    code      8 .. 14   ->  +2**(min + code - 8)
    code     15         ->   unused, refused

Here ``min`` is a property of the layer kept beside the codes, so this module works in units of
``2**min``: an integer weight is 0 or +-2**k with k = 0..6, and always fits an int8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ZERO = 7
"""The code of weight 0."""

UNUSED = 15
"""The one code that stands for no weight."""

MAX_EXPONENT = 6
"""Largest k of a weight +-2**k."""

CODES_PER_WORD = 4

_VALUES = np.array([-(1 << c) for c in range(7)] + [0] + [1 << c for c in range(7)], dtype=np.int8)
_CODES = np.full(256, UNUSED, dtype=np.uint8)
_CODES[_VALUES.astype(np.int64) + 128] = np.arange(15, dtype=np.uint8)

VALUES: tuple[int, ...] = tuple(int(v) for v in _VALUES)
"""Weight of each code 0..14, in units of 2**min."""

MAGNITUDES: tuple[int, ...] = tuple(1 << k for k in range(MAX_EXPONENT + 1))


def decode(codes: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the integer weight of each code, 0 or +-2**k, k = 0..6.

    Raises:
        ValueError: A code is 15 or larger.

    Example:
        ``decode([6, 7, 8, 14])`` is ``[-64, 0, 1, 64]``.
    """
    codes = np.asarray(codes, dtype=np.uint8)
    if codes.size and int(codes.max()) >= UNUSED:
        raise ValueError(f"codes must be 0..14, found {int(codes.max())}")
    return _VALUES[codes]


def encode(weights: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the code of each integer weight; ``decode(encode(w)) == w`` for every legal w.

    Raises:
        ValueError: A weight is not 0 or +-2**k with k = 0..6.
    """
    weights = np.asarray(weights)
    in_range = (weights >= -128) & (weights <= 127)
    codes = _CODES[np.where(in_range, weights, -128).astype(np.int64) + 128]
    if codes.size and int(codes.max()) == UNUSED:
        bad = weights[codes == UNUSED].flat[0]
        raise ValueError(f"weights must be 0 or +-2**k, k = 0..6, found {int(bad)}")
    return codes


def pack(codes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the codes in C order, four a word, first code in the lowest four bits.

    The tail of the last word is filled with the code of 0 (7), so a word never holds code 15.
    """
    flat = np.asarray(codes, dtype=np.uint8).reshape(-1)
    if flat.size and int(flat.max()) >= UNUSED:
        raise ValueError(f"codes must be 0..14, found {int(flat.max())}")
    n_words = -(-flat.size // CODES_PER_WORD)
    padded = np.full(n_words * CODES_PER_WORD, ZERO, dtype=np.uint16)
    padded[: flat.size] = flat
    nibbles = padded.reshape(n_words, CODES_PER_WORD)
    shifts = np.arange(CODES_PER_WORD, dtype=np.uint16) * 4
    return np.bitwise_or.reduce(nibbles << shifts, axis=1).astype(np.uint16)


def unpack(words: NDArray[np.uint16], count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` codes of packed words; the inverse of `pack`.

    Raises:
        ValueError: The number of words does not fit ``count``, a code is 15, or the tail of the
            last word is not the code of 0.
    """
    words = np.asarray(words, dtype=np.uint16).reshape(-1)
    if words.size != -(-count // CODES_PER_WORD):
        raise ValueError(f"{count} codes need {-(-count // 4)} words, found {words.size}")
    shifts = np.arange(CODES_PER_WORD, dtype=np.uint16) * 4
    codes = ((words[:, None] >> shifts) & 0xF).astype(np.uint8).reshape(-1)
    if codes.size and int(codes.max()) == UNUSED:
        raise ValueError("code 15 stands for no weight: the words are damaged")
    if (codes[count:] != ZERO).any():
        raise ValueError("the last word is not filled with the code of 0: the words are damaged")
    return codes[:count]
