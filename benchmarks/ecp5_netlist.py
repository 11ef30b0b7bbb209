"""A design as cells of an ECP5, and those cells as Verilog again, to simulate what was synthesised.

LUTs, carries, flip-flops and distributed RAM behave as yosys' own models of them say
(techlibs/ecp5/cells_sim.v); block RAM and multipliers, of which yosys has none, as `ecp5_cells.v`
says. Nothing is optimised after synthesis.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tf2.synthesis.design import Design, plain_names
from tf2.synthesis.netlist import synthesise
from tf2.synthesis.toolchain import find_tool

CELLS = Path(__file__).with_name("ecp5_cells.v")


def ecp5_netlist(verilog: str, *, top: str, broken: Iterable[int] = ()) -> tuple[str, Counter[str]]:
    """Return a module that does what its synthesised cells do, and the cells by type.

    The cells are those that `tf2 build` gives to nextpnr. Carries into chains that it leaves open
    are 1 here: what they are must not matter.

    Args:
        verilog: The design.
        top: Its top module, whose ports stay as they are.
        broken: Seeds, by each of which a LUT is drawn and inverted: what must be found by whoever
            compares.

    Raises:
        ToolFailedError: Synthesis fails.
        RuntimeError: A block RAM starts with a content, or yosys cannot read its cells back.
    """
    tool = find_tool("yosys")
    design = Design(top=top, sources={"design.v": plain_names(verilog)})
    netlist = synthesise(tool, design, progress=lambda stage, share: None)
    text = json.loads(netlist.file.read_text())
    cells = text["modules"][top]["cells"].values()
    contents = set()
    for cell in cells:
        if cell["connections"].get("CIN") == ["x"]:
            cell["connections"]["CIN"] = ["1"]
        for port, way in cell["port_directions"].items():
            if way == "output" and cell["connections"][port] == ["x"]:
                del cell["connections"][port]
        for name, value in cell["parameters"].items():
            if name.startswith("INITVAL_") and cell["type"] == "DP16KD":
                contents.add(name)
                if set(str(value)) - set("0x"):
                    raise RuntimeError("a block RAM starts with a content; `ecp5_cells.v` has none")
    for seed in broken:
        _invert_a_lut(list(cells), random.Random(seed))
    forget = "; ".join(f"setparam -unset {name} t:DP16KD" for name in sorted(contents))
    with tempfile.TemporaryDirectory(prefix="tf2-netlist-") as name:
        folder = Path(name)
        (folder / "netlist.json").write_text(json.dumps(text))
        (folder / "cells.v").write_text(CELLS.read_text())
        script = (
            f"read_json netlist.json; delete =A:blackbox; {forget}; "
            "read_verilog -D NO_INCLUDES +/ecp5/cells_sim.v; delete =DP16KD; read_verilog cells.v; "
            f"hierarchy -check -top {top}; proc; flatten; memory_collect; opt_clean; "
            "write_verilog -noattr behaviour.v"
        )
        done = subprocess.run(
            [*tool.command, "-q", "-p", script],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"yosys failed: {done.stderr[-2000:]}")
        return (folder / "behaviour.v").read_text(), Counter(cell["type"] for cell in cells)


def _invert_a_lut(cells: list[dict[str, Any]], draw: random.Random) -> None:
    lut = draw.choice([cell for cell in cells if cell["type"] == "LUT4"])
    table = lut["parameters"]["INIT"]
    lut["parameters"]["INIT"] = table.translate(str.maketrans("01", "10"))
