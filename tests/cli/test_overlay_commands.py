"""`tf2 estimate`, `tf2 profile`, `tf2 info --program`, and the overlay's engines by `tf2 run`."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import pytest

from tf2.arch import named_config

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="there is no g++ to build a simulation with"
)


def test_estimate_says_what_each_layer_takes(tf2, work):
    code, out, _ = tf2("estimate", "colors.tf2", "--overlay", "test-small", "--json")
    report = json.loads(out)
    assert code == 0
    layers = report["layers"]
    assert sum(layer["macs"] for layer in layers) == report["macs"]
    assert report["total"]["cycles"] >= report["macs"] / 96  # test-small has 96 lanes
    assert report["frames_per_second"] == pytest.approx(1e8 / report["total"]["cycles"])


def test_an_overlay_can_be_a_file_of_parameters(tf2, work):
    parameters = asdict(named_config("test-small")) | {"name": "mine"}
    (work / "mine.json").write_text(json.dumps(parameters))
    code, out, _ = tf2("estimate", "colors.tf2", "--overlay", "mine.json")
    assert code == 0
    assert "mine: 96 sac lanes" in out


@pytest.mark.parametrize("content", ["{", '{"lanes": 3}', "[]"])
def test_a_file_that_is_no_overlay_is_refused_by_name(tf2, work, content):
    (work / "bad.json").write_text(content)
    code, _, error = tf2("estimate", "colors.tf2", "--overlay", "bad.json")
    assert code == 1
    assert "bad.json is no overlay configuration" in error


def test_an_unknown_overlay_is_answered_with_those_there_are(tf2, work):
    code, _, error = tf2("profile", "colors.tf2", "--overlay", "huge")
    assert code == 1
    assert "original-3840" in error


def test_a_window_that_is_none_is_wrong_usage(tf2, work):
    code, _, error = tf2("profile", "colors.tf2", "--trace", "x.vcd", "--window", "9:3")
    assert code == 2
    assert "FIRST:LAST" in error


def test_info_prints_the_program(tf2, work):
    code, out, _ = tf2("info", "colors.tf2", "--program", "--overlay", "test-small")
    assert code == 0
    assert out.startswith("overlay 'test-small'")
    assert " layer " in out


def test_the_functional_engine_gives_the_same_answers_as_int(tf2, work):
    answers = [
        json.loads(tf2("run", "colors.tf2", "photos", "--engine", engine, "--overlay", "test-small",
                       "--json")[1])["results"]
        for engine in ("int", "functional")
    ]  # fmt: skip
    assert answers[0] == answers[1]


def test_compare_holds_two_engines_together_to_the_bit(tf2, work):
    code, out, error = tf2(
        "compare", "colors.tf2", "--data", "photos", "--engine", "functional", "--against", "int",
        "--overlay", "test-small", "--samples", "2",
    )  # fmt: skip
    assert code == 0, error
    assert "all the same" in out


@needs_compiler
def test_profile_shows_the_counters_of_the_rtl_and_a_waveform(tf2, work):
    code, out, error = tf2(
        "profile", "colors.tf2", "--overlay", "test-small", "--trace", "wave.vcd", "--window",
        "100:200", "--json",
    )  # fmt: skip
    assert code == 0, error
    report = json.loads(out)
    assert report["total"]["busy"] <= report["total"]["cycles"]
    assert (work / "wave.vcd").read_text().startswith("$version")
    estimated = json.loads(tf2("estimate", "colors.tf2", "--overlay", "test-small", "--json")[1])
    assert estimated["total"]["busy"] == report["total"]["busy"]
