from dataclasses import replace

import pytest

from tf2.errors import BuildError, ClockMissedError, PartTooSmallError
from tf2.platforms import part_of
from tf2.synthesis import (
    Netlist,
    Target,
    Tool,
    Toolchain,
    ToolFailedError,
    build_bitstream,
    in_harness,
    synthesise,
)
from tf2.synthesis import bitstream as module
from tf2.synthesis.netlist import does_not_fit

SMALL = """
module adder(clk, a, s);
  input clk;
  input [11:0] a;
  output [11:0] s;
  reg [11:0] \\sum[0] ;
  reg [11:0] sum;
  always @(posedge clk) begin
    \\sum[0] <= sum * a;
    sum <= \\sum[0] + a;
  end
  assign s = sum;
endmodule
"""
"""Names as Amaranth makes them: "sum[0]" is no bit of sum."""

TARGET = Target(part=part_of("ecp5-25k"), grade="6", package="CABGA381")


class Seen(list):
    def __call__(self, text, share):
        assert 0 <= share <= 1
        self.append(text)

    @property
    def stages(self):
        return list(dict.fromkeys(text.partition(":")[0] for text in self))


def test_a_small_design_becomes_a_bitstream_and_is_made_once(toolchain):
    seen, again = Seen(), Seen()
    design = in_harness(SMALL, top="adder")
    built = build_bitstream(toolchain, design, TARGET, clock_mhz=50.0, seeds=2, progress=seen)
    assert built.file.read_bytes()[:2] == b"\xff\x00"  # an ECP5 bitstream's comment begins so
    assert b"LFE5U-25F" in built.file.read_bytes()[:200]
    assert built.netlist.abc9
    assert built.layout.met
    assert built.layout.fmax_mhz > 50
    assert len(built.tried) == 1  # the first seed meets the clock
    assert built.layout.used["DSP"] == (1, 28)
    assert built.layout.used["FF"][0] >= 12 + 2 * 12
    assert built.layout.path is not None
    assert "adder: sum" in f"{built.layout.path.start} {built.layout.path.end}"
    assert seen.stages == ["synthesise", "pack", "place", "route", "bitstream"]
    same = build_bitstream(toolchain, design, TARGET, clock_mhz=50.0, seeds=2, progress=again)
    assert same == built
    assert again == ["synthesise", "pack", "bitstream"]  # nothing ran

    with pytest.raises(ClockMissedError) as missed:
        build_bitstream(toolchain, design, TARGET, clock_mhz=900.0, seeds=2, progress=seen)
    message = str(missed.value)
    assert message.startswith("900 MHz is not met on ecp5-25k-6; tried: ")
    assert "(seed 1), " in message
    assert "(seed 2) MHz" in message
    assert "--grade 7|8" in message


def test_without_a_clock_the_fastest_of_all_seeds_is_taken(toolchain):
    built = build_bitstream(
        toolchain, in_harness(SMALL, top="adder"), TARGET, clock_mhz=None, seeds=2, progress=Seen()
    )
    assert [layout.seed for layout in built.tried] == [1, 2]
    assert built.layout.fmax_mhz == max(layout.fmax_mhz for layout in built.tried)


def test_a_design_larger_than_the_part_says_what_exceeds_and_what_would_do(toolchain):
    netlist = synthesise(toolchain.yosys, in_harness(SMALL, top="adder"), progress=Seen())
    assert does_not_fit(netlist, TARGET.part) is None
    larger = replace(netlist, cells={**netlist.cells, "LUT4": 40_000, "DP16KD": 60})
    said = does_not_fit(larger, TARGET.part)
    assert said is not None
    assert "where there are 24,288" in said
    assert "60 EBR where there are 56 (4 too many) on ecp5-25k" in said
    assert said.endswith("the nearest that does is ecp5-45k")
    largest = does_not_fit(replace(netlist, cells={"LUT4": 10**6}), TARGET.part)
    assert largest is not None
    assert largest.endswith("no larger part has that")


def test_too_small_a_part_is_refused_before_placement(toolchain):
    tiny = replace(TARGET, part=replace(TARGET.part, dsps=0))
    with pytest.raises(PartTooSmallError, match=r"1 DSP where there are 0 \(1 too many\)"):
        build_bitstream(
            toolchain, in_harness(SMALL, top="adder"), tiny, clock_mhz=None, seeds=1,
            progress=Seen(),
        )  # fmt: skip


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """A build whose layouts fail for a reason; and the seeds that were tried."""
    tool = Tool(name="nextpnr-ecp5", command=(), version="1", native=True)
    netlist = Netlist(file=tmp_path, identity="x", cells={}, abc9=True)
    seeds = []

    def build(reason):
        def place_and_route(tool, *rest, seed, **options):
            seeds.append(seed)
            raise ToolFailedError(tool=tool, doing="route it", reason=reason, log=tmp_path / "log")

        monkeypatch.setattr(module, "synthesise", lambda *args, **options: netlist)
        monkeypatch.setattr(module, "place_and_route", place_and_route)
        build_bitstream(
            Toolchain(yosys=tool, nextpnr=tool, ecppack=tool), in_harness(SMALL, top="adder"),
            TARGET, clock_mhz=50.0, seeds=3, progress=Seen(),
        )  # fmt: skip

    return build, seeds


def test_a_layout_that_fails_is_tried_with_every_seed(failing):
    build, seeds = failing
    with pytest.raises(BuildError, match=r"route it: ERROR: no way \(log: .*; tried with 3 seeds"):
        build("ERROR: no way")
    assert seeds == [1, 2, 3]


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: Unable to place cell 'x', no Bels remaining of type DP16KD",
        "ERROR: Unable to find legal placement for all cells, design is probably at utilisation "
        "limit.",
    ],
)
def test_a_layout_without_room_is_not_tried_again(failing, said):
    build, seeds = failing
    with pytest.raises(PartTooSmallError, match=r"does not fit ecp5-25k: .*log: "):
        build(said)
    assert seeds == [1]
