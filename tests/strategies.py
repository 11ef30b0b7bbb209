"""Hypothesis strategies shared by the tests; `from strategies import ...`."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tf2.numerics import pot4

accumulators = st.integers(-(2**31), 2**31 - 1)
multipliers = st.integers(1, 255)
zero_points = st.sampled_from([0, -128])

_shapes = npst.array_shapes(max_dims=3, max_side=9)

codes = npst.arrays(np.uint8, _shapes, elements=st.integers(0, 14))
"""Arrays of legal weight codes, of any length modulo the four of a word."""

weights = npst.arrays(np.int8, _shapes, elements=st.sampled_from(pot4.VALUES))
"""Arrays of legal power-of-two weights."""
