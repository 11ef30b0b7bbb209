from pathlib import Path

import pytest

from tf2.errors import BuildError, RoutingStalledError
from tf2.synthesis import bitstream
from tf2.synthesis.layout import _Watch

ROUTING = "Info: Routing 5000 arcs."

WIRE = """
module wire_only(clk, a, y);
  input clk;
  input a;
  output y;
  assign y = a;
endmodule
"""


def routed(count, left):
    """Return a line of router1."""
    return (
        f"Info: {count:10d} |    4057      15942 |  160   839 | {left:9d}|       0.56      12.92|"
    )


@pytest.fixture
def told():
    return []


@pytest.fixture
def watch(told):
    return _Watch(lambda text, share: told.append((text, round(share, 2))), Path("it.log"))


def test_placement_and_routing_are_told_as_they_go_on(watch, told):
    watch("Info: iter=200 steplen=0.48 a=79.6 penalty=[0.00, 0.00]")
    watch("Info:   at iteration #20: temp = 0.000000, timing cost = 2375, wirelen = 381565")
    watch(ROUTING)
    watch(routed(1000, 4000))
    assert told == [
        ("place: iteration 200", 0.44),
        ("place: refinement 20", 0.89),
        ("route: 5,000 arcs", 0.0),
        ("route: 4,000 arcs left", 0.2),
    ]


def test_a_router_that_gains_nothing_is_stopped(watch):
    watch(ROUTING)
    watch(routed(1000, 4100))
    watch(routed(2000, 3000))
    for count in range(3000, 8000, 1000):  # up and down, but not below
        watch(routed(count, 3000 + count % 2000))
    with pytest.raises(RoutingStalledError, match=r"at 3,000 of 5,000 arcs left.*it\.log"):
        watch(routed(8000, 3001))


def test_a_router_that_gains_a_little_goes_on(watch):
    watch(ROUTING)
    for count in range(1000, 40_000, 1000):
        watch(routed(count, 4000 - count // 1000))


def test_every_seed_is_tried_before_a_layout_counts_as_stalled(monkeypatch, tmp_path):
    from tf2.platforms import part_of
    from tf2.synthesis import Netlist, Target, Tool, Toolchain, in_harness

    seeds = []

    def place_and_route(tool, *rest, seed, **options):
        seeds.append(seed)
        raise RoutingStalledError("the router stopped")

    netlist = Netlist(file=tmp_path, identity="x", cells={}, abc9=True)
    monkeypatch.setattr(bitstream, "synthesise", lambda *args, **options: netlist)
    monkeypatch.setattr(bitstream, "place_and_route", place_and_route)
    tool = Tool(name="nextpnr-ecp5", command=(), version="1", native=True)
    with pytest.raises(RoutingStalledError, match="tried with 2 seeds") as stalled:
        bitstream.build_bitstream(
            Toolchain(yosys=tool, nextpnr=tool, ecppack=tool),
            in_harness(WIRE, top="wire_only"),
            Target(part=part_of("ecp5-25k"), grade="6", package="CABGA381"),
            clock_mhz=None, seeds=2, progress=lambda text, share: None,
        )  # fmt: skip
    assert isinstance(stalled.value, BuildError)
    assert seeds == [1, 2]
