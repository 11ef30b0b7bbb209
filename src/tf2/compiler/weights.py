"""Weights as the lanes take them: int8 values as sums of powers of two, channels in their slots."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.numerics import pot4


@lru_cache
def _terms_of_bytes() -> NDArray[np.int8]:
    """Return the shortest sum of values of the code book for each byte -128..127, (256, 5)."""
    steps = np.array(pot4.VALUES)
    terms = np.zeros((256, 5), dtype=np.int8)
    known = {0}
    for count in range(5):
        for value in sorted(known):
            for step in steps[steps != 0].tolist():
                total = value + step
                if -128 <= total <= 127 and total not in known and not terms[total + 128].any():
                    terms[total + 128] = terms[value + 128]
                    terms[total + 128, count] = step
        known |= {v for v in range(-128, 128) if terms[v + 128].any()}
    return terms


def terms_needed(weight: NDArray[np.int8], config: OverlayConfig) -> int:
    """Return how many words of the lanes' own weights a word of these takes."""
    if config.lane == "mac" or np.isin(weight, pot4.VALUES).all():
        return 1
    used = np.any(_terms_of_bytes()[weight.astype(np.int64) + 128], axis=tuple(range(weight.ndim)))
    return int(used.sum())


def as_terms(weight: NDArray[np.int8], count: int) -> NDArray[np.int8]:
    """Return arrays (count, *shape) of the lanes' weights that add up to these."""
    if count == 1:
        return weight[None]
    terms = _terms_of_bytes()[weight.astype(np.int64) + 128]
    return np.moveaxis(terms[..., :count], -1, 0)
