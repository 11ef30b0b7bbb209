import re

import pytest

from tf2.gateware.post_lane import PostLane
from tf2.gateware.verilog import convert
from tf2.platforms import part_of
from tf2.synthesis import Target, build_bitstream, in_harness, plain_names

MODULE = """
module unit(clk, rst, a, b, \\byte , d);
  input clk;
  input rst;
  input [6:0] a;
  output [2:0] b;
  wire [2:0] b;
  output \\byte ;
  input d;
endmodule
module other(x);
  input [99:0] x;
endmodule
"""


def test_every_port_is_connected_to_bits_of_its_own():
    text = in_harness(MODULE, top="unit").sources["design.v"]
    connections = re.findall(r"\.(\w+|\\\S+ )\((\w+)(?:\[(\d+):(\d+)\])?\)", text)
    assert connections == [
        ("clk", "clk", "", ""), ("rst", "drive", "0", "0"), ("a", "drive", "7", "1"),
        ("b", "seen", "2", "0"), ("\\byte ", "seen", "3", "3"), ("d", "drive", "8", "8"),
    ]  # fmt: skip
    assert "reg [8:0] drive;" in text
    assert "reg [3:0] signature;" in text


def test_names_with_brackets_become_plain_and_bits_stay_bits():
    assert plain_names(r"assign \word[1] [3:0] = word[7:4] + \x.y[0][2] ;") == (
        r"assign \word(1) [3:0] = word[7:4] + \x.y(0)(2) ;"
    )


def test_designs_are_told_apart_by_what_they_are_made_of():
    one = in_harness(MODULE, top="unit")
    assert one.hash == in_harness(MODULE, top="unit").hash
    assert one.hash != in_harness(MODULE.replace("99", "98"), top="unit").hash


@pytest.mark.slow
def test_a_unit_of_the_overlay_becomes_a_real_bitstream(toolchain):
    """A lane of post-processing, multipliers included: what CI has time for."""
    design = in_harness(convert(PostLane(), name="post_lane"), top="post_lane")
    target = Target(part=part_of("ecp5-25k"), grade="6", package="CABGA381")
    built = build_bitstream(
        toolchain, design, target, clock_mhz=None, seeds=1, progress=lambda text, share: None
    )
    assert built.netlist.abc9
    assert built.layout.used["DSP"][0] > 0
    assert b"LFE5U-25F" in built.file.read_bytes()[:200]
