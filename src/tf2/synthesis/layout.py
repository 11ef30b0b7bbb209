"""A netlist placed and routed on an ECP5, by nextpnr."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf2.errors import RoutingStalledError
from tf2.platforms import Part
from tf2.synthesis.critical_path import CriticalPath, critical_path
from tf2.synthesis.netlist import BLOCK_RAM, DSP, FLIP_FLOP, LUT, Netlist
from tf2.synthesis.stage_cache import lent, stage
from tf2.synthesis.tool_run import run_tool
from tf2.synthesis.toolchain import Tool

Progress = Callable[[str, float], None]

_USED = {
    LUT: "TRELLIS_COMB", FLIP_FLOP: "TRELLIS_FF", BLOCK_RAM: "DP16KD", DSP: "MULT18X18D",
}  # fmt: skip
"""nextpnr's name of each resource."""

_PLACER = ("--placer", "static")
"""nextpnr's other placer, heap, crowds an overlay of 192 lanes into half of a part.

It then takes 1.8 times the wire, and routing takes twenty times as long or has no end
(docs/building.md).
"""

_PATIENCE = 1
"""Designs' worth of arcs that may be routed without a gain."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a netlist is to be placed.

    Attributes:
        part: The FPGA.
        grade: Its speed grade.
        package: Its package, as nextpnr names it.
    """

    part: Part
    grade: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A placed and routed design.

    Attributes:
        config: What ecppack makes the bitstream of.
        identity: What tells layouts apart.
        seed: That it was made with.
        fmax_mhz: The fastest clock that it meets.
        asked_mhz: The clock that was aimed at.
        met: Whether every clock of the design is met.
        used: Resources used, after packing: name -> (used, of the part).
        path: What limits the clock; None where there is no path between registers.
    """

    config: Path
    identity: str
    seed: int
    fmax_mhz: float
    asked_mhz: float
    met: bool
    used: Mapping[str, tuple[int, int]]
    path: CriticalPath | None


def place_and_route(
    tool: Tool,
    netlist: Netlist,
    target: Target,
    *,
    clock_mhz: float,
    seed: int,
    constraints: str | None = None,
    clock: str = "",
    progress: Progress,
) -> Layout:
    """Return the netlist on a part; from the cache where it was made before.

    A clock that is not met is no error here: `met` says so.

    Args:
        tool: nextpnr-ecp5.
        netlist: The cells.
        target: Part, grade and package.
        clock_mhz: To aim at, for clocks that the constraints do not name.
        seed: Of the placement.
        constraints: Pins and clocks (LPF); without, pins are put anywhere.
        clock: Part of the name of the clock that counts; empty: the slowest of all.
        progress: Told of packing, placing and routing.

    Raises:
        ToolFailedError: nextpnr fails; says why.
        RoutingStalledError: Its router comes no nearer to an end.
    """
    options = (
        target.part.nextpnr, "--package", target.package, "--speed", target.grade,
        "--freq", f"{clock_mhz:g}", "--seed", str(seed), "--timing-allow-fail", *_PLACER,
        *(("--lpf", "pins.lpf") if constraints is not None else ("--lpf-allow-unconstrained",)),
    )  # fmt: skip

    def make(folder: Path, log: Path) -> None:
        if constraints is not None:
            (folder / "pins.lpf").write_text(constraints)
        with lent(netlist.file, folder) as cells:
            run_tool(
                tool,
                [*options, "--json", cells, "--textcfg", "layout.config",
                 "--report", "report.json"],
                doing=f"place and route the design on {target.part.name}", folder=folder, log=log,
                watch=_Watch(progress, log),
            )  # fmt: skip

    progress("pack", 0.0)
    identity = (netlist.identity, *options, constraints or "", tool.identity)
    folder = stage("layout", identity, make)
    report = json.loads((folder / "report.json").read_text())
    name = counting_clock(report["fmax"], clock)
    return Layout(
        config=folder / "layout.config",
        identity=folder.name,
        seed=seed,
        fmax_mhz=report["fmax"][name]["achieved"] if name else math.inf,
        asked_mhz=report["fmax"][name]["constraint"] if name else clock_mhz,
        met=all(c["achieved"] >= c["constraint"] for c in report["fmax"].values()),
        used={
            resource: (
                report["utilization"][cell]["used"],
                report["utilization"][cell]["available"],
            )
            for resource, cell in _USED.items()
        },
        path=critical_path(report, name) if name else None,
    )


def counting_clock(clocks: Mapping[str, Any], part_of_name: str) -> str | None:
    """Return the name of the clock that counts: the slowest of those so named, else of all."""
    named = [name for name in clocks if part_of_name in name] or list(clocks)
    return min(named, key=lambda name: clocks[name]["achieved"], default=None)


class _Watch:
    """Tells progress from nextpnr's output: 0..1 of packing, of placing, of routing.

    Raises:
        RoutingStalledError: As many arcs as `_PATIENCE` times those of the design were routed again
            and never were fewer left than before. Counted in arcs, not in seconds: the same
            everywhere.
    """

    _ANNEALING = re.compile(r"at iteration #(\d+): temp")
    _PLACING = re.compile(r"^Info: iter=(\d+) steplen")
    _ARCS = re.compile(r"Routing (\d+) arcs")
    _REMAINING = re.compile(r"^Info:\s+(\d+) \|.*\|\s+(\d+)\|\s+[\d.]+\s+[\d.]+\|")

    def __init__(self, progress: Progress, log: Path) -> None:
        self._progress = progress
        self._log = log
        self._arcs = 0
        self._least = 0  # arcs left, at the best
        self._reached = 0  # arcs routed by then

    def __call__(self, line: str) -> None:
        if found := self._PLACING.search(line):
            self._progress(f"place: iteration {found[1]}", 0.7 * _closing_in(found[1], 200))
        elif found := self._ANNEALING.search(line):
            self._progress(f"place: refinement {found[1]}", 0.7 + 0.3 * _closing_in(found[1], 20))
        elif found := self._ARCS.search(line):
            self._arcs = self._least = int(found[1])
            self._reached = 0
            self._progress(f"route: {self._arcs:,} arcs", 0.0)
        elif self._arcs and (found := self._REMAINING.search(line)):
            self._route(routed=int(found[1]), left=int(found[2]))

    def _route(self, *, routed: int, left: int) -> None:
        self._progress(f"route: {left:,} arcs left", max(0.0, 1 - left / self._arcs))
        if left < self._least:
            self._least, self._reached = left, routed
        elif routed - self._reached > _PATIENCE * self._arcs:
            raise RoutingStalledError(
                f"the router stopped at {self._least:,} of {self._arcs:,} arcs left: the wires of "
                "the part do not suffice. Take a smaller overlay, or another placement (--seeds) "
                f"(log: {self._log})"
            )


def _closing_in(iteration: str, usual: int) -> float:
    """Return a share that grows with iterations whose number nobody knows."""
    return 1 - math.exp(-int(iteration) / usual)
