"""Layers cut into stripes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tf2.compiler.ops import Conv, MaxPart
from tf2.compiler.stripes import cut, even_spans, extent


@given(length=st.integers(1, 60), count=st.integers(1, 70), quantum=st.integers(1, 7))
def test_spans_tile_the_length_and_begin_at_multiples(length, count, quantum):
    spans = even_spans(length, count, quantum)
    assert len(spans) <= count
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == length
    assert all(begin % quantum == 0 and begin < end for begin, end in spans)


def layer(*, kernel, stride, pad, rows, pool=None) -> Conv:
    return Conv(
        name="c", source="x", target="y", weight=np.ones((1, 1, 1, kernel, 1), np.int8),
        factors=(np.zeros(1, np.int64),) * 5, strides=(1, stride, 1), pads=(0, pad, 0),
        size=(1, rows, 4), pool=pool,
    )  # fmt: skip


def test_a_stripe_reads_the_rows_its_windows_reach_and_no_others():
    conv = layer(kernel=3, stride=1, pad=1, rows=10)
    assert extent(conv) == 10
    first, second = cut(conv, (1, 10, 4), [(0, 5), (5, 10)])
    assert (first.source, second.source) == ((0, 6), (4, 10))


def test_pooled_stripes_compute_the_rows_they_share_twice():
    pool = MaxPart(size=3, stride=2, pad_top=0, pad_left=0, height=4, width=2)
    conv = layer(kernel=1, stride=1, pad=0, rows=9, pool=pool)
    assert extent(conv) == 4
    first, second = cut(conv, (1, 9, 4), [(0, 2), (2, 4)])
    assert (first.source, second.source) == ((0, 5), (4, 9))


def test_dilated_slices_are_brought_together():
    conv = Conv(
        name="c", source="x", target="y", weight=np.ones((1, 1, 3, 1, 1), np.int8),
        factors=(np.zeros(1, np.int64),) * 5, dilations=(4, 1, 1), pads=(4, 0, 0),
        size=(12, 2, 2),
    )  # fmt: skip
    stripes = cut(conv, (12, 2, 2), [(z, z + 1) for z in range(12)])
    assert stripes[0].apart == (0, 4)
    assert stripes[5].apart == (1, 5, 9)
    assert stripes[5].source == (0, 3)
