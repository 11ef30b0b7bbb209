"""Rows of the Feature Buffer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf2.compiler.memory import Need, assign_rows, peak
from tf2.errors import DoesNotFitError

needs = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=12
).map(
    lambda rows: [
        Need(name=str(i), rows=r, first=f, last=f + n) for i, (r, f, n) in enumerate(rows)
    ]
)


@given(needs=needs)
def test_what_is_needed_at_once_never_overlaps(needs):
    rows = 2 * max(peak(needs, 16))  # room enough for any order
    at = assign_rows(needs, 10 * rows)
    for a in needs:
        for b in needs:
            if a is not b and a.meets(b):
                assert at[a.name] + a.rows <= at[b.name] or at[b.name] + b.rows <= at[a.name]


def test_rows_are_used_again_when_free():
    at = assign_rows(
        [Need(name="a", rows=8, first=0, last=1), Need(name="b", rows=8, first=2, last=3)], 8
    )
    assert at == {"a": 0, "b": 0}


def test_says_what_does_not_fit_and_by_how_much():
    with pytest.raises(DoesNotFitError, match=r"'b' needs 8 rows .* 10 rows: 6 too few"):
        assign_rows(
            [Need(name="a", rows=8, first=0, last=1), Need(name="b", rows=8, first=1, last=3)], 10
        )
