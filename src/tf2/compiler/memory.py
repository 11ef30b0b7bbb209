"""Rows of the Feature Buffer: who lies where, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tf2.errors import DoesNotFitError


@dataclass(frozen=True, kw_only=True)
class Need:
    """Rows that are needed from one layer to another.

    Attributes:
        name: Of what lies there.
        rows: How many.
        first: Number of the first layer that needs them.
        last: Of the last one.
    """

    name: str
    rows: int
    first: int
    last: int

    def meets(self, other: Need) -> bool:
        """Return whether both are needed at some layer."""
        return self.first <= other.last and other.first <= self.last


def peak(needs: Sequence[Need], layers: int) -> list[int]:
    """Return the rows needed at each layer."""
    rows = [0] * layers
    for need in needs:
        for layer in range(need.first, need.last + 1):
            rows[layer] += need.rows
    return rows


def assign_rows(needs: Sequence[Need], rows: int) -> dict[str, int]:
    """Return the first row of each, no two that meet in time overlapping.

    Tries two orders and takes the first that fits: the largest first, then the earliest first.

    Raises:
        DoesNotFitError: They do not fit; names what is left over.
    """
    orders = (
        lambda n: (-n.rows, n.first),
        lambda n: (-n.rows * (n.last - n.first + 1), n.first),
        lambda n: (n.first, -n.rows),
        lambda n: (n.last - n.first, -n.rows),
    )
    failures = []
    for order in orders:
        placed, left = _placed(sorted(needs, key=order), rows)
        if left is None:
            return placed
        failures.append(left)
    left, by = min(failures, key=lambda failure: failure[1])
    raise DoesNotFitError(
        f"{left.name!r} needs {left.rows} rows of the Feature Buffer, which has {rows} rows: "
        f"{by} too few"
    )


def _placed(needs: Sequence[Need], rows: int) -> tuple[dict[str, int], tuple[Need, int] | None]:
    done: list[tuple[Need, int]] = []
    for need in needs:
        taken = sorted((at, at + other.rows) for other, at in done if other.meets(need))
        at = 0
        best: tuple[int, int] | None = None
        for begin, end in [*taken, (rows, rows)]:
            gap = begin - at
            if gap >= need.rows and (best is None or gap < best[0]):
                best = (gap, at)
            at = max(at, end)
        if best is None:
            top = max((end for _, end in taken), default=0)
            return {}, (need, top + need.rows - rows)
        done.append((need, best[1]))
    return {need.name: at for need, at in done}, None
