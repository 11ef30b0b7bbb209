"""The engine "board": a session on a board in Python gives what the other engines give."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.random_graphs import random_graph
from runtime.emulated_board import EmulatedBoard, design_of
from tf2.arch import named_config
from tf2.compiler import compile_graph
from tf2.engines import Session
from tf2.errors import ConfigError, DeviceError, EngineError
from tf2.runtime import BoardDevice, UartBone

SMALL = named_config("test-small")


@pytest.fixture(scope="module")
def graph():
    return random_graph(np.random.default_rng(7), rank=2, steps=6)


@pytest.fixture
def board(graph, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    programs = [segment.program for segment in compile_graph(graph, SMALL).arrays]
    return EmulatedBoard(SMALL, programs)


def feeds_of(graph, rng):
    return {"x": rng.integers(-128, 128, (2, *graph.shape("x")[1:])).astype(np.int8)}


def test_a_session_on_a_device_gives_the_bytes_of_int(graph, board, rng):
    feeds = feeds_of(graph, rng)
    device = BoardDevice(design_of(SMALL), board.open)
    found = Session(graph, "board", board=device).run(None, feeds)
    for a, b in zip(found, Session(graph, "int").run(None, feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_session_finds_design_and_port_by_itself(graph, board, rng, tmp_path, monkeypatch):
    design_of(SMALL).save(tmp_path / "soc.json")
    opened = []

    def link(stream, **options):
        return UartBone(board, **options)

    monkeypatch.setattr("tf2.runtime.connect.find_port", lambda name: f"/dev/{name}")
    monkeypatch.setattr(
        "tf2.runtime.connect.SerialStream", lambda name, baud: opened.append((name, baud))
    )
    monkeypatch.setattr("tf2.runtime.connect.UartBone", link)
    feeds = feeds_of(graph, rng)
    expected = Session(graph, "int").run(None, feeds)
    for options in ({}, {"port": "/dev/other"}):
        found = Session(graph, "board", board=tmp_path, **options).run(None, feeds)
        np.testing.assert_array_equal(found[0], expected[0])
    assert opened == [("/dev/emulated", 1_000_000), ("/dev/other", 1_000_000)]


def test_a_session_without_a_board_says_what_to_give(graph):
    with pytest.raises(EngineError, match=r"the folder that `tf2 build --board` made"):
        Session(graph, "board")


def test_a_folder_that_is_no_build_is_refused(graph, tmp_path):
    with pytest.raises(ConfigError, match=r"soc\.json: No such file or directory\. It is the"):
        Session(graph, "board", board=tmp_path)
    (tmp_path / "soc.json").write_text('{"format": 99}')
    with pytest.raises(ConfigError, match="format 99"):
        Session(graph, "board", board=tmp_path / "soc.json")


def test_no_board_plugged_in_is_an_error(graph, tmp_path, monkeypatch):
    pytest.importorskip("serial")
    design_of(SMALL).save(tmp_path / "soc.json")
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with pytest.raises(DeviceError, match="no emulated is plugged in"):
        Session(graph, "board", board=tmp_path)
