"""From a design to a file for the FPGA: one layout that meets its clock, or an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tf2.errors import BuildError, ClockMissedError, PartTooSmallError, RoutingStalledError
from tf2.synthesis.design import Design
from tf2.synthesis.layout import Layout, Target, place_and_route
from tf2.synthesis.netlist import Netlist, does_not_fit, synthesise
from tf2.synthesis.stage_cache import lent, stage
from tf2.synthesis.tool_run import ToolFailedError, run_tool
from tf2.synthesis.toolchain import Tool, Toolchain

Progress = Callable[[str, float], None]

AIM_MHZ = {"6": 120.0, "7": 140.0, "8": 160.0}
"""By grade, what is aimed at where no clock is asked for: a little more than can be reached."""

_FULL = re.compile(r"no Bels remaining|utilisation limit|failed to place chain", re.IGNORECASE)
"""What nextpnr says when there is no room."""


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """A finished file and how it came about.

    Attributes:
        file: The bitstream.
        netlist: What was placed.
        layout: The placement that it was made of.
        tried: Every layout that was made, in order.
        toolchain: What made it.
    """

    file: Path
    netlist: Netlist
    layout: Layout
    tried: tuple[Layout, ...]
    toolchain: Toolchain


def build_bitstream(
    toolchain: Toolchain,
    design: Design,
    target: Target,
    *,
    clock_mhz: float | None,
    seeds: int,
    first_seed: int = 1,
    progress: Progress,
) -> Bitstream:
    """Return the bitstream of a design that meets its clock.

    Stages that were finished before, by this call or another, are not run again.

    Args:
        toolchain: The tools.
        design: What to build.
        target: For which part.
        clock_mhz: That must be met: seeds are tried until one does. None: all seeds are tried and
            the fastest is taken, whatever it reaches.
        seeds: How many to try at most.
        first_seed: The first of them.
        progress: Told of each stage and its share.

    Raises:
        PartTooSmallError: The cells exceed the part.
        ClockMissedError: No seed meets the clock.
        RoutingStalledError: The last seed's wires find no way.
        BuildError: A tool fails; a layout that fails is tried with the other seeds first.
    """
    netlist = synthesise(toolchain.yosys, design, progress=progress)
    if over := does_not_fit(netlist, target.part):
        raise PartTooSmallError(f"the design does not fit: {over}")
    tried: list[Layout] = []
    failed: list[BuildError] = []
    for seed in range(first_seed, first_seed + seeds):
        try:
            layout = place_and_route(
                toolchain.nextpnr, netlist, target, seed=seed, constraints=design.constraints,
                clock=design.clock, clock_mhz=clock_mhz or AIM_MHZ[target.grade],
                progress=_with_seed(progress, seed, first_seed),
            )  # fmt: skip
        except ToolFailedError as error:
            if _FULL.search(error.reason):  # no other seed makes room
                raise PartTooSmallError(
                    f"the design does not fit {target.part.name}: {error}"
                ) from error
            failed.append(error)
            continue
        except RoutingStalledError as error:
            failed.append(error)
            continue
        tried.append(layout)
        if clock_mhz is not None and layout.met:
            break
    if not tried:
        kind = RoutingStalledError if isinstance(failed[-1], RoutingStalledError) else BuildError
        raise kind(f"{failed[-1]}; tried with {len(failed)} seeds") from failed[-1]
    if clock_mhz is not None and not tried[-1].met:
        raise ClockMissedError(_missed(tried, target))
    best = max(tried, key=lambda layout: (layout.met, layout.fmax_mhz))
    return Bitstream(
        file=_packed(toolchain.ecppack, best, progress),
        netlist=netlist,
        layout=best,
        tried=tuple(tried),
        toolchain=toolchain,
    )


def _packed(tool: Tool, layout: Layout, progress: Progress) -> Path:
    def make(folder: Path, log: Path) -> None:
        with lent(layout.config, folder) as config:
            run_tool(
                tool, ["--compress", "--input", config, "--bit", "design.bit"],
                doing="pack the bitstream", folder=folder, log=log,
            )  # fmt: skip

    progress("bitstream", 0.0)
    return stage("bitstream", (layout.identity, tool.identity), make) / "design.bit"


def _with_seed(progress: Progress, seed: int, first: int) -> Progress:
    """Return progress that names the seed, once there is more than one."""
    if seed == first:
        return progress
    return lambda text, share: progress(f"{text} (seed {seed})", share)


def _missed(tried: list[Layout], target: Target) -> str:
    best = max(tried, key=lambda layout: layout.fmax_mhz)
    speeds = ", ".join(f"{layout.fmax_mhz:.1f} (seed {layout.seed})" for layout in tried)
    faster = [grade for grade in target.part.grades if grade > target.grade]
    grade = f", a faster grade (--grade {'|'.join(faster)})" if faster else ""
    return (
        f"{best.asked_mhz:g} MHz is not met on {target.part.name}-{target.grade}; tried: {speeds} "
        f"MHz; the slowest path: {best.path}. Ask for less (--clock), more seeds (--seeds)"
        f"{grade} or a smaller overlay"
    )
