"""Verilog to cells of an ECP5, by yosys."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tf2.platforms import PARTS, Part
from tf2.synthesis.carry_chains import shorten
from tf2.synthesis.design import Design
from tf2.synthesis.stage_cache import stage
from tf2.synthesis.tool_run import ToolFailedError, run_tool
from tf2.synthesis.toolchain import Tool

Progress = Callable[[str, float], None]

LUT, FLIP_FLOP, BLOCK_RAM, DSP = "LUT4", "FF", "EBR", "DSP"
"""The resources that are counted, as reports name them."""

_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
"""LUT4 places that a cell takes; a CCU2C is two bits of a carry chain."""

_STEP = re.compile(r"^2\.(\d+)\. Executing (\w+)")
_STEPS = 48
"""Steps of synth_ecp5; only progress depends on it."""


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A synthesised design.

    Attributes:
        file: For nextpnr, JSON.
        identity: What tells netlists apart.
        cells: Number of cells by type.
        abc9: Whether timing-driven mapping worked; else the plain one was taken.
    """

    file: Path
    identity: str
    cells: Mapping[str, int]
    abc9: bool

    @property
    def used(self) -> dict[str, int]:
        """What it takes of a part, before packing: carry chains will take a little more."""
        return {
            LUT: sum(places * self.cells.get(cell, 0) for cell, places in _LUTS.items()),
            FLIP_FLOP: self.cells.get("TRELLIS_FF", 0),
            BLOCK_RAM: self.cells.get("DP16KD", 0) + self.cells.get("PDPW16KD", 0),
            DSP: self.cells.get("MULT18X18D", 0),
        }


def capacity(part: Part) -> dict[str, int]:
    """Return what a part has of each resource."""
    return {
        LUT: part.luts, FLIP_FLOP: part.flip_flops, BLOCK_RAM: part.block_rams, DSP: part.dsps,
    }  # fmt: skip


def does_not_fit(netlist: Netlist, part: Part) -> str | None:
    """Return what exceeds a part, by how much, and which part of the family would do."""
    has = capacity(part)
    over = {name: used for name, used in netlist.used.items() if used > has[name]}
    if not over:
        return None
    larger = [
        other for other in PARTS.values()
        if other.family == part.family and other.luts > part.luts
        and all(used <= capacity(other)[name] for name, used in netlist.used.items())
    ]  # fmt: skip
    nearest = min(larger, key=lambda other: other.luts, default=None)
    needs = ", ".join(
        f"{used:,} {name} where there are {has[name]:,} ({used - has[name]:,} too many)"
        for name, used in over.items()
    )
    hint = f"the nearest that does is {nearest.name}" if nearest else "no larger part has that"
    return f"it takes {needs} on {part.name}; {hint}"


def synthesise(tool: Tool, design: Design, *, progress: Progress) -> Netlist:
    """Return the design as cells of an ECP5; from the cache where it was made before.

    Mapping is by abc9, which knows delays. Where abc9 itself fails, the design is mapped without
    it, and a warning says so.

    Raises:
        ToolFailedError: yosys fails; says why.
    """
    try:
        return _synthesised(tool, design, abc9=True, progress=progress)
    except ToolFailedError as error:
        if "syntax error" in error.reason:
            raise
        logging.getLogger(__name__).warning(
            "%s; the design is mapped without abc9, so without regard to delays", error
        )
    return _synthesised(tool, design, abc9=False, progress=progress)


def _synthesised(tool: Tool, design: Design, *, abc9: bool, progress: Progress) -> Netlist:
    script = _script(design, abc9=abc9)
    identity = (design.hash, script, tool.identity)

    def make(folder: Path, log: Path) -> None:
        for name, text in design.sources.items():
            (folder / name).write_text(text)
        run_tool(
            tool, ["-p", script], doing="synthesise the design", folder=folder, log=log,
            watch=lambda line: _watch(line, progress),
        )  # fmt: skip
        for name in design.sources:
            (folder / name).unlink()
        _shorten_carries(folder / "netlist.json", design.top)

    progress("synthesise", 0.0)
    folder = stage("netlist", identity, make)
    modules = json.loads((folder / "cells.json").read_text())["modules"]
    return Netlist(
        file=folder / "netlist.json",
        identity=folder.name,
        cells=modules[f"\\{design.top}"]["num_cells_by_type"],
        abc9=abc9,
    )


def _shorten_carries(file: Path, top: str) -> None:
    netlist = json.loads(file.read_text())
    shorten(netlist["modules"][top])
    file.write_text(json.dumps(netlist))


def _script(design: Design, *, abc9: bool) -> str:
    """Return yosys' commands.

    The last steps of synth_ecp5 are replaced: its `autoname` takes as long as all the rest. Flip-
    flops alone get the names of what they hold, for the critical path. LUTs of 4 inputs only: yosys
    pays 2 to 8 of them for a wider one, in a dot product 60 % more. What stayed a module of its own
    to be synthesised once is made flat in the end.
    """
    verilog = " ".join(name for name in design.sources if name.endswith(".v"))
    return (
        f"read_verilog {verilog}; "
        f"synth_ecp5 {'-abc9 ' if abc9 else ''}-nowidelut -top {design.top} -run begin:check; "
        "hierarchy -check; setattr -mod -unset keep_hierarchy *; flatten; "
        "rename -wire t:TRELLIS_FF; opt_clean -purge; blackbox =A:whitebox; "
        "tee -q -o cells.json stat -json; write_json netlist.json"
    )


def _watch(line: str, progress: Progress) -> None:
    if step := _STEP.match(line):
        progress(f"synthesise: {step[2].lower()}", min(1.0, int(step[1]) / _STEPS))
