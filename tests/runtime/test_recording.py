"""Recordings of a link: made, replayed, refused when the host asks for something else."""

import pytest

from runtime.compiled_cases import check, compiled_case
from runtime.emulated_board import EmulatedBoard, design_of
from tf2.arch import named_config
from tf2.errors import DeviceError
from tf2.runtime import BoardDevice, RecordingLink, ReplayLink

SMALL = named_config("test-small")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def case():
    return compiled_case(3, SMALL)


@pytest.fixture
def recording(case, tmp_path):
    board = EmulatedBoard(SMALL, [case.program])
    path = tmp_path / "run.jsonl"
    with RecordingLink(board.open(), path) as link:
        check(BoardDevice(design_of(SMALL), lambda: link), case)
    return path


def test_a_replay_gives_what_the_board_gave(recording, case):
    replay = ReplayLink(recording)
    check(BoardDevice(design_of(SMALL), lambda: replay), case)
    assert replay.finished


def test_another_question_than_recorded_is_an_error_that_names_both(recording):
    other = compiled_case(5, SMALL)
    device = BoardDevice(design_of(SMALL), lambda: ReplayLink(recording))
    with pytest.raises(DeviceError, match=r"entry \d+ of the recording is .*the host asked for"):
        device.run(other.program, other.arena)


def test_what_is_no_recording_is_refused(tmp_path):
    for text in ("", "no json", '{"format": "another"}'):
        (tmp_path / "x").write_text(text)
        with pytest.raises(DeviceError, match="no recording of a link"):
            ReplayLink(tmp_path / "x")
    with pytest.raises(DeviceError, match="no recording of a link"):
        ReplayLink(tmp_path / "absent")
