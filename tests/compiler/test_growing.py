"""Stripes that grow with their input."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tf2.compiler.growing import MOST_CUTS, growing_spans


def finish(spans, loaded, cycles) -> int:
    end = 0
    for count, span in enumerate(spans, 1):
        end = max(end, loaded(span[1], count)) + cycles(span)
    return end


@given(
    length=st.integers(1, 9), first=st.integers(0, 50), load=st.integers(1, 30),
    compute=st.integers(1, 30), more=st.integers(0, 40),
)  # fmt: skip
def test_no_other_stripes_end_earlier(length, first, load, compute, more):
    def loaded(row, stripes):
        return first + load * row

    def cycles(span):
        return more + compute * (span[1] - span[0])

    spans, end = growing_spans(length, loaded, cycles)
    assert [0, *(e for _, e in spans)] == [*(b for b, _ in spans), length]
    assert end == finish(spans, loaded, cycles)
    for count in range(length):
        for cuts in itertools.combinations(range(1, length), count):
            others = itertools.pairwise([0, *cuts, length])
            assert end <= finish(others, loaded, cycles)


def test_long_maps_are_cut_at_few_places():
    spans, _ = growing_spans(1000, lambda row, stripes: 10 * row, lambda span: span[1] - span[0])
    assert spans[-1][1] == 1000
    assert 1 < len(spans) <= MOST_CUTS
