"""`tf2 search`: an overlay on stdout, in a file that other commands take, and drawn."""

import json

import pytest


def test_search_writes_an_overlay_that_estimate_takes(tf2, work):
    code, out, _ = tf2(
        "search", "colors.tf2", "--target", "ecp5-25k", "--compilations", "3", "-o", "mine.json",
        "--chart", "mine.svg",
    )  # fmt: skip
    assert code == 0
    assert "frames/s over logic" in out
    assert "MHz (assumed" in out
    assert (work / "mine.svg").read_text().startswith("<svg")
    chosen = json.loads((work / "mine.json").read_text())["name"]
    code, out, _ = tf2("estimate", "colors.tf2", "--overlay", "mine.json")
    assert code == 0
    assert f"{chosen}: " in out


def test_search_as_json_names_what_it_reckoned_with(tf2, work):
    code, out, _ = tf2(
        "search", "colors.tf2", "--target", "ecp5-25k", "--compilations", "2", "--clock", "60",
        "--json",
    )  # fmt: skip
    content = json.loads(out)
    assert code == 0
    assert (content["clock_mhz"], content["clock_source"]) == (60, "given")
    assert content["chosen"] in content["front"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--target", "ecp5-85"], "did you mean ecp5-85k"),
        (["--target", "ecp5-25k", "--goal", "area"], "--at-least"),
        (["--target", "ecp5-25k", "--max-share", "0.02"], "no overlay fits 2 %"),
        (["--target", "ecp5-25k", "--compilations", "1", "--at-least", "1e9"], "the nearest"),
    ],
)
def test_search_says_what_cannot_be(tf2, work, arguments, expected):
    code, _, error = tf2("search", "colors.tf2", *arguments)
    assert code == 1
    assert expected in error
