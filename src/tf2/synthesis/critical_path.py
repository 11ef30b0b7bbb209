"""The slowest path of a routed design, in the words of the design's units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CARRY_NS = 0.1
"""Above what a bit of a carry chain takes: those are no levels."""

_BIT = re.compile(r"\[\d+\]")
_MADE = re.compile(r"\\(TRELLIS_FF|DP16KD|MULT18X18D|CCU2C).*$")
_HIDDEN = re.compile(r"^(?:\$\w+)*\$flatten\\")


@dataclass(frozen=True, kw_only=True)
class CriticalPath:
    """The path that limits the clock.

    Attributes:
        start: Register or memory where it begins, with its units: "array.pe_array.pe_3: word".
        end: Where it ends.
        delay_ns: Of the whole path.
        routing_ns: What of it is wires.
        levels: Cells between start and end; the bits of a carry chain are none.
        through: Units that it passes, in order.
    """

    start: str
    end: str
    delay_ns: float
    routing_ns: float
    levels: int
    through: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a line of a report."""
        way = f" through {', '.join(self.through)}" if self.through else ""
        return (
            f"{self.start} -> {self.end}{way}: {self.delay_ns:.2f} ns in {self.levels} levels, "
            f"{self.routing_ns:.2f} ns of it wires"
        )


def critical_path(report: Mapping[str, Any], clock: str) -> CriticalPath | None:
    """Return the slowest path within a clock.

    Args:
        report: nextpnr's, as read from its JSON.
        clock: Name of the clock, as in the report's "fmax".
    """
    paths = [p["path"] for p in report["critical_paths"] if _within(p, clock)]
    if not paths:
        return None
    steps = max(paths, key=_delay)
    ends = _place(steps[0]["from"]["cell"]), _place(steps[-1]["to"]["cell"])
    units = [_place(step["net"]) for step in steps if step["type"] == "routing"]
    passed = dict.fromkeys(unit.partition(":")[0] for unit in units if ":" in unit)
    between = [unit for unit in passed if unit not in {end.partition(":")[0] for end in ends}]
    return CriticalPath(
        start=ends[0],
        end=ends[1],
        delay_ns=_delay(steps),
        routing_ns=sum(step["delay"] for step in steps if step["type"] == "routing"),
        levels=sum(step["type"] == "logic" and step["delay"] > _CARRY_NS for step in steps),
        through=tuple(between),
    )


def _within(path: Mapping[str, Any], clock: str) -> bool:
    return all(path[end].split(" ")[-1] == clock for end in ("from", "to"))


def _delay(steps: Sequence[Mapping[str, Any]]) -> float:
    return sum(step["delay"] for step in steps)


def _place(name: str) -> str:
    """Return "unit.unit: signal" of a cell or net; what tools made up is left out."""
    name = _MADE.sub("", _HIDDEN.sub("", name))
    name = _BIT.sub("", name).replace("\\", "")
    if name.startswith("$") or "$" in name.partition(".")[0]:
        return "logic"
    *units, signal = [part for part in name.split(".") if not part.startswith("$")]
    if units and units[0] == "overlay":
        del units[0]
    return f"{'.'.join(units)}: {signal}" if units else signal
