"""Vendor projects: what can be checked of them without the vendors' tools."""

import functools
import importlib.util
import re
import shutil
import subprocess
import sys
import types
import xml.etree.ElementTree

import numpy as np
import pytest

from isa.random_programs import random_program
from tf2.arch import OverlayConfig
from tf2.arch.register_map import CONTROL_START, ID, STATUS_DONE, STATUS_ERROR, Register
from tf2.errors import BuildError, ConfigError
from tf2.platforms import PARTS, part_of
from tf2.projects import ProjectFiles, generate, lint, project
from tf2.projects.project import vendor_parts
from tf2.sim.functional import FunctionalDevice

CONFIG = OverlayConfig(outputs=2, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
                       post_pixels=1, pool_groups=16, ddr_bytes=4)  # fmt: skip
CLOCK_MHZ = 160.0


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Every vendor part's project of one small overlay."""
    folder = tmp_path_factory.mktemp("projects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "generate_verilog", functools.cache(project.generate_verilog))
        return {
            part.name: generate(part, CONFIG, None, folder / part.name, clock_mhz=CLOCK_MHZ)
            for part in vendor_parts()
        }


def _text(files, name):
    return (files.folder / name).read_text()


def test_every_part_without_open_tools_has_a_project():
    assert {part.name for part in vendor_parts()} == {
        part.name for part in PARTS.values() if not part.open_tools
    }


def test_scripts_are_complete_tcl_with_nothing_left_to_fill_in(projects):
    if shutil.which("tclsh") is None:
        pytest.skip("there is no tclsh to parse Tcl with")
    for files in projects.values():
        for name in files.files:
            if not name.endswith((".tcl", ".sdc", ".xdc")):
                continue
            assert "@{" not in _text(files, name)
            script = (
                f"set f [open {{{files.folder / name}}}]; set t [read $f]; "
                "puts [expr {[info complete $t] ? {yes} : {no}}]"
            )
            said = subprocess.run(["tclsh"], input=script, capture_output=True, text=True)
            assert said.stdout.strip() == "yes", (files.folder.name, name, said.stderr)


def test_the_clock_is_constrained_to_its_period(projects):
    assert "-period 6.250" in _text(projects["arria10-gx1150"], "overlay.sdc")
    assert "-period 6.250" in _text(projects["kv260"], "overlay.xdc")


def test_registers_of_scripts_and_kernel_are_those_of_the_register_map(projects):
    for register in Register:
        line = f"    {register.name} 0x{register.value:02x}\n"
        assert line in _text(projects["kv260"], "package_ip.tcl")
    kernel = xml.etree.ElementTree.fromstring(_text(projects["alveo-u250"], "kernel.xml"))
    arguments = {arg.get("name"): int(arg.get("offset"), 16) for arg in kernel.iter("arg")}
    assert arguments == {name: Register[name.upper()] for name in arguments}
    assert "arena_base" in arguments


def test_platform_designer_gets_every_port_of_the_overlay(projects):
    files = projects["arria10-gx1150"]
    listed = set(re.findall(r"add_interface_port \w+ (\w+)", _text(files, "overlay_hw.tcl")))
    module = _text(files, "overlay.v").split("\nmodule overlay(")[1].split(")")[0]
    assert listed == {port.strip() for port in module.split(",")}


def test_verilator_elaborates_the_overlay_and_the_kernel_around_it(projects):
    for name in ("agilex-agf014", "alveo-u250"):
        warnings = lint(projects[name])
        assert not [w for w in warnings if "tf2_kernel" in w and "PIN" in w]


def test_lint_says_where_verilog_is_wrong(tmp_path):
    (tmp_path / "overlay.v").write_text("module overlay(input clk); wire x = missing; endmodule")
    files = ProjectFiles(folder=tmp_path, files=("overlay.v",), commands=(), not_run="")
    with pytest.raises(BuildError, match=r"overlay\.v:1.*missing"):
        lint(files)


def test_a_part_of_open_tools_is_refused_with_those_that_have_a_project(tmp_path):
    with pytest.raises(ConfigError, match=r"ecp5-85k has no vendor project.*kv260"):
        generate(part_of("ecp5-85k"), CONFIG, None, tmp_path, clock_mhz=100)


def test_a_memory_port_that_kv260_does_not_have_is_refused(tmp_path):
    wide = OverlayConfig(outputs=1, pixels=1, inputs=4, feature_rows=64, filter_words=16,
                         post_pixels=1, pool_groups=4, ddr_bytes=64)  # fmt: skip
    with pytest.raises(ConfigError, match="ddr_bytes = 64"):
        generate(part_of("kv260"), wide, None, tmp_path, clock_mhz=100)


class _Buffer(np.ndarray):
    """Memory that knows its address, as `pynq.allocate` gives it."""

    device_address = 0x1234_5678

    def flush(self):
        """Nothing is cached."""

    invalidate = freebuffer = flush


class _FakeRegisters:
    """The registers in front of the functional overlay and the memory."""

    error = 0
    program = memory = None

    def __init__(self):
        self.words = {Register.ID: ID, Register.CONFIG_HASH: CONFIG.hash}

    def read(self, address):
        return self.words.get(address, 0)

    def write(self, address, value):
        self.words[address] = value
        if address == Register.CONTROL and value == CONTROL_START:
            base = self.words[Register.ARENA_BASE] | self.words[Register.ARENA_BASE + 4] << 32
            assert base % 4096 == 0
            start = base - _Buffer.device_address
            arena = np.array(self.memory[start : start + self.words[Register.ARENA_BYTES]])
            FunctionalDevice(CONFIG).run(self.program, arena)
            self.memory[start : start + arena.size] = arena
            self.words[Register.STATUS] = STATUS_DONE
            if self.error:
                self.words[Register.STATUS] = STATUS_ERROR | self.error << 8


class _FakeOverlay:
    """PYNQ's overlay."""

    def __init__(self, bitfile, **options):
        self.tf2_overlay = _FakeRegisters()


@pytest.fixture
def driver(projects, monkeypatch):
    """The generated module, with a fake PYNQ whose overlay computes."""
    fake = types.ModuleType("pynq")
    fake.Overlay = _FakeOverlay
    monkeypatch.setattr(_FakeRegisters, "error", 0)

    def allocate(size, dtype):
        _FakeRegisters.memory = np.zeros(size, dtype).view(_Buffer)
        return _FakeRegisters.memory

    fake.allocate = allocate
    monkeypatch.setitem(sys.modules, "pynq", fake)
    path = projects["kv260"].folder / "tf2_kv260.py"
    spec = importlib.util.spec_from_file_location("tf2_kv260", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pynq_driver_runs_programs_as_any_device(driver):
    device = driver.Tf2Overlay()
    for seed in (1, 2):
        case = random_program(np.random.default_rng(seed), CONFIG)
        _FakeRegisters.program = case.program
        wanted, got = case.arena.copy(), case.arena.copy()
        FunctionalDevice(CONFIG).run(case.program, wanted)
        device.run(case.program, got)
        np.testing.assert_array_equal(got, wanted)
        assert not np.array_equal(got, case.arena)


def test_the_pynq_driver_says_why_the_overlay_stopped(driver, monkeypatch):
    case = random_program(np.random.default_rng(3), CONFIG)
    _FakeRegisters.program = case.program
    monkeypatch.setattr(_FakeRegisters, "error", 5)
    with pytest.raises(driver.OverlayError, match="watchdog"):
        driver.Tf2Overlay().run(case.program, case.arena)


def test_the_pynq_driver_refuses_another_overlay(driver, monkeypatch):
    monkeypatch.setattr(driver, "CONFIG_HASH", 1)
    with pytest.raises(driver.OverlayError, match="another configuration"):
        driver.Tf2Overlay()
