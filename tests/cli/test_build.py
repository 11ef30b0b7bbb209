import json

import pytest

from tf2 import flow
from tf2.arch import named_config
from tf2.flow import BuildReport, ProjectReport


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What `flow.build` is asked for; it answers with a report."""
    calls = {}

    def build(model, *, output, progress, **options):
        calls.update(options, model=model, output=output)
        for text in ("synthesise: abc9", "place: iteration 1", "place: iteration 2"):
            progress(text, 0.5)
        return BuildReport(
            bitstream=output / "ecp5-25k.bit", part="ecp5-25k", board=None, grade="6",
            package="CABGA381", overlay=named_config("test-small"), config_hash=0xABC, lanes=96,
            used={"LUT4": (20_000, 24_288), "EBR": (28, 56)}, clock_mhz=100.0, fmax_mhz=104.25,
            lane_rate=10.0, cycles=400_000, frames_per_second=250.0, memory="8 bytes a cycle",
            critical_path="array: a -> array: b", seeds={1: 98.0, 2: 104.25},
            tools=("yosys 0.66",), notes=("a larger one failed",),
        )  # fmt: skip

    monkeypatch.setattr(flow, "build", build)
    monkeypatch.chdir(tmp_path)
    return calls


def test_the_options_reach_the_build_and_the_folder_is_named_after_them(tf2, asked):
    code, _, _ = tf2(
        "build", "net.tf2", "--target", "ecp5-25k", "--grade", "7", "--clock", "90", "--seeds", "5"
    )
    assert code == 0
    assert (str(asked["model"]), asked["target"], asked["board"]) == ("net.tf2", "ecp5-25k", None)
    assert (asked["grade"], asked["clock_mhz"], asked["seeds"]) == (7, 90.0, 5)
    assert str(asked["output"]) == "net-ecp5-25k"


def test_the_report_says_area_clock_and_speed(tf2, asked):
    _, out, _ = tf2("build", "net.tf2", "--target", "ecp5-25k")
    text = " ".join(out.split())
    assert "LUT4 20,000 24,288 82 %" in text
    assert "104.2 MHz, 100 MHz asked for; by seed 1: 98.0, 2: 104.2" in text
    assert "250.0 frames/s: 400,000 cycles a frame" in text
    assert "critical path array: a -> array: b" in text
    assert "no pins are assigned" in text
    assert "a larger one failed" in text


def test_stages_are_told_once_each_where_no_bar_can_be_drawn(tf2, asked):
    _, _, err = tf2("build", "net.tf2", "--target", "ecp5-25k")
    assert err.split() == ["synthesise", "place"]


def test_the_report_as_json(tf2, asked):
    _, out, _ = tf2("build", "net.tf2", "--target", "ecp5-25k", "--json")
    report = json.loads(out)["report"]
    assert report["fmax_mhz"] == 104.25
    assert report["overlay"]["outputs"] == 4


def test_an_unknown_part_is_one_line_and_exit_code_1(tf2, tmp_path):
    code, _, err = tf2(
        "build", "--overlay", "test-small", "--target", "ecp5-99k", "-o", str(tmp_path)
    )
    assert code == 1
    assert "there is no part 'ecp5-99k' (did you mean ecp5-85k?)" in err


def test_an_interrupt_says_that_the_build_can_go_on(tf2, asked, monkeypatch):
    def build(model, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "build", build)
    code, _, err = tf2("build", "net.tf2", "--target", "ecp5-25k")
    assert code == 130
    assert "the same command goes on where this one was" in err


def test_a_vendor_s_part_becomes_a_project(tf2, monkeypatch, tmp_path):
    def make_project(model, *, target, output, **options):
        return ProjectReport(
            folder=output, files=("overlay.v", "project.tcl"), commands=("quartus_sh -t x.tcl",),
            part=target, overlay=named_config("test-small"), lanes=96, clock_mhz=192.5,
            shares={"ALM": 0.31}, cells={"MISTRAL_FF": 12_000}, lint=(), cycles=385_000,
            frames_per_second=500.0, not_run="Quartus was not run: area is not known",
        )  # fmt: skip

    monkeypatch.setattr(flow, "make_project", make_project)
    monkeypatch.chdir(tmp_path)
    code, out, _ = tf2("build", "net.tf2", "--target", "arria10-gx1150")
    text = " ".join(out.split())
    assert code == 0
    assert "net-arria10-gx1150: overlay.v, project.tcl" in text
    assert "ALM 31 %" in text
    assert "not checked Quartus was not run" in text
    assert "500.0 frames/s, were it to run at 192.5 MHz" in text
    code, _, err = tf2("build", "net.tf2", "--target", "kv260", "--grade", "6")
    assert code == 2
    assert "kv260 is placed by its vendor's tools" in err
