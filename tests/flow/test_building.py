import json
from types import SimpleNamespace

import pytest

from tf2 import flow
from tf2.arch import OverlayConfig, named_config
from tf2.errors import ClockMissedError, ConfigError, PartTooSmallError, RoutingStalledError
from tf2.flow import building, sizing
from tf2.synthesis import (
    Bitstream,
    CriticalPath,
    Layout,
    Netlist,
    Tool,
    Toolchain,
)
from tf2.synthesis.design import Design

SMALL = OverlayConfig(
    name="smallest", outputs=2, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
    post_pixels=1, pool_groups=16, ddr_bytes=4,
)  # fmt: skip
PATH = CriticalPath(
    start="array: a", end="array: b", delay_ns=8.0, routing_ns=5.0, levels=3, through=()
)


def tool(name):
    return Tool(name=name, command=("/bin/false",), version="1.0", native=True)


TOOLS = Toolchain(yosys=tool("yosys"), nextpnr=tool("nextpnr-ecp5"), ecppack=tool("ecppack"))


@pytest.fixture
def built(tmp_path, monkeypatch):
    """What is asked of the tools; `failures` are raised first, one a call."""
    asked, failures = [], []

    def overlay(config, *, board, clock_mhz, progress):
        asked.append(config)
        return Design(top="x", sources={}), clock_mhz, None if board is None else b"{}"

    def build(toolchain, design, target, *, clock_mhz, seeds, progress):
        if failures:
            raise failures.pop(0)
        file = tmp_path / "made.bit"
        file.write_bytes(b"bits")
        layout = Layout(
            config=file, identity="x", seed=2, fmax_mhz=125.0, asked_mhz=120.0, met=True,
            used={"LUT4": (9000, 24288)}, path=PATH,
        )  # fmt: skip
        netlist = Netlist(file=file, identity="x", cells={}, abc9=True)
        return Bitstream(
            file=file, netlist=netlist, layout=layout, tried=(layout,) * min(1, seeds),
            toolchain=toolchain,
        )  # fmt: skip

    monkeypatch.setattr("tf2.synthesis.find_toolchain", lambda: TOOLS)
    monkeypatch.setattr("tf2.synthesis.build_bitstream", build)
    monkeypatch.setattr("tf2.synthesis.overlay_design.overlay_design", overlay)
    return asked, failures


def test_the_folder_holds_bitstream_configuration_and_report(tmp_path, built):
    report = flow.build(None, target="ecp5-25k", overlay=SMALL, output=tmp_path / "out")
    assert report.bitstream.read_bytes() == b"bits"
    assert report.bitstream == tmp_path / "out" / "ecp5-25k.bit"
    assert OverlayConfig(**json.loads((tmp_path / "out" / "overlay.json").read_text())) == SMALL
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["bitstream"] == "ecp5-25k.bit"
    assert saved["config_hash"] == SMALL.hash
    assert saved["lane_rate"] == pytest.approx(SMALL.lanes * 0.125)
    assert saved["used"] == {"LUT4": [9000, 24288]}
    assert saved["seeds"] == {"2": 125.0}
    assert (report.cycles, report.frames_per_second, report.notes) == (None, None, ())
    assert not (tmp_path / "out" / "soc.json").exists()


def test_a_board_gives_part_grade_and_the_host_s_description(tmp_path, built):
    report = flow.build(None, board="ecpix5-85f", overlay=SMALL, output=tmp_path)
    assert (report.part, report.grade, report.package) == ("ecp5-um5g-85k", "8", "CABGA554")
    assert report.bitstream.name == "ecpix5-85f.bit"
    assert (tmp_path / "soc.json").read_bytes() == b"{}"


@pytest.fixture
def memories(monkeypatch):
    """The memories that frames of 50,000 cycles were reckoned with."""
    seen = []

    def estimate(model, config, ddr):
        seen.append(ddr)
        return SimpleNamespace(total=SimpleNamespace(cycles=50_000))

    monkeypatch.setattr(building, "compile_model", lambda model, config: None)
    monkeypatch.setattr(building, "estimate", estimate)
    return seen


def test_frames_a_second_are_reckoned_at_the_clock_that_was_asked_for(tmp_path, built, memories):
    place = {"overlay": SMALL, "output": tmp_path}
    free = flow.build("m.tf2", target="ecp5-25k", **place)
    asked = flow.build("m.tf2", target="ecp5-25k", clock_mhz=100.0, **place)
    assert (free.frames_per_second, asked.frames_per_second) == (2500, 2000)
    assert asked.fmax_mhz == 125.0
    flow.build("m.tf2", board="ulx3s-85f", **place)
    assert [memory.beats_per_256 for memory in memories] == [256, 256, 128]  # 2 of 4 bytes


@pytest.mark.parametrize("error", [PartTooSmallError, ClockMissedError, RoutingStalledError])
def test_an_overlay_sized_here_is_made_smaller_until_it_works(
    tmp_path, built, memories, monkeypatch, error
):
    asked, failures = built
    sizes = [named_config("ecp5-85k"), SMALL]
    monkeypatch.setattr(sizing, "overlays_for", lambda model, part, board, progress: sizes)
    failures.append(error("too much"))
    report = flow.build("m.tf2", target="ecp5-85k", output=tmp_path)
    assert asked == sizes
    assert report.overlay == SMALL
    assert report.notes[0].endswith("lanes) was tried before: too much")
    failures += [error("too much"), error("still too much")]
    with pytest.raises(error, match=r"still too much; .* was tried before: too much"):
        flow.build("m.tf2", target="ecp5-85k", output=tmp_path)


def test_an_overlay_that_was_named_is_never_replaced(tmp_path, built):
    asked, failures = built
    failures.append(ClockMissedError("slow"))
    with pytest.raises(ClockMissedError, match=r"^slow$"):
        flow.build(None, target="ecp5-25k", overlay=SMALL, output=tmp_path)
    assert asked == [SMALL]
    assert not list(tmp_path.glob("*.json"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file"):
        flow.build(None, target="ecp5-25k", overlay=SMALL, output=tmp_path / "file")


def test_an_overlay_far_too_large_is_refused_before_any_tool_runs(tmp_path, built):
    asked, _ = built
    with pytest.raises(PartTooSmallError, match=r"on ecp5-85k; no larger part would do\. Give"):
        flow.build(None, target="ecp5-85k", overlay="original-3840", output=tmp_path)
    assert not asked


def test_before_any_tool_runs_a_board_s_own_logic_is_counted(tmp_path, built, monkeypatch):
    asked, _ = built
    monkeypatch.setattr(sizing, "BOARD_LUTS", 120_000)
    flow.build(None, target="ecp5-85k", overlay=SMALL, output=tmp_path / "alone")
    with pytest.raises(PartTooSmallError, match="with what ulx3s-85f takes around it"):
        flow.build(None, board="ulx3s-85f", overlay=SMALL, output=tmp_path / "board")
    assert asked == [SMALL]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"overlay": SMALL}, "name the part"),
        ({"target": "ecp5-25k"}, "nothing to build"),
        ({"target": "ecp5-25k", "overlay": SMALL, "grade": 9}, "has no speed grade 9; it has 6, 7"),
        ({"board": "ulx3s-85f", "overlay": SMALL, "grade": 8}, "is of speed grade 6, not 8"),
        ({"board": "ulx3s-85f", "overlay": SMALL, "target": "ecp5-25k"}, "has an ecp5-85k, not"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, arguments, said):
    with pytest.raises(ConfigError, match=said):
        flow.build(None, output=tmp_path, **arguments)
