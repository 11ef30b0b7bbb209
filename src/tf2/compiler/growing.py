"""Stripes of a layer whose input comes in while it runs and then stays: the earliest end.

The first stripe begins as soon as its rows are there, so it is small; each costs the way through
the array and the rows it shares with the one before, so they grow as far as loads are ahead.
"""

from __future__ import annotations

from collections.abc import Callable

from tf2.compiler.stripes import Span

MOST_CUTS = 64
"""Places at which stripes may begin; longer maps are cut at multiples of a number of rows."""


def growing_spans(
    length: int, loaded: Callable[[int, int], int], cycles: Callable[[Span], int]
) -> tuple[list[Span], int]:
    """Return stripes over `length` rows, and the cycle in which the last one ends: the earliest.

    Args:
        length: Rows of the layer's result.
        loaded: Cycle in which all is there that rows before this one are made of, which take that
            many stripes.
        cycles: Of a stripe.
    """
    step = -(-length // MOST_CUTS)
    cuts = [*range(0, length, step), length]
    ends, before, counts = [0], [0], [0]
    for j in range(1, len(cuts)):
        end, i = min(
            (max(ends[i], loaded(cuts[j], counts[i] + 1)) + cycles((cuts[i], cuts[j])), i)
            for i in range(j)
        )
        ends.append(end)
        before.append(i)
        counts.append(counts[i] + 1)
    spans, j = [], len(cuts) - 1
    while j > 0:
        spans.append((cuts[before[j]], cuts[j]))
        j = before[j]
    return spans[::-1], ends[-1]
