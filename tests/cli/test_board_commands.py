"""``tf2 devices``, ``flash`` and the engine "board" where no board is, or another one."""

import json
import shutil
from types import SimpleNamespace

import pytest

from runtime.emulated_board import EmulatedBoard, design_of
from tf2.arch import named_config
from tf2.runtime import UartBone

pytest.importorskip("serial")

SMALL = named_config("test-small")


@pytest.fixture
def plug(monkeypatch):
    """Say which serial ports there are."""
    return lambda *ports: monkeypatch.setattr(
        "serial.tools.list_ports.comports", lambda: list(ports)
    )


def port(name):
    return SimpleNamespace(device=name, description="FT231X", vid=0x403, pid=0x6015, location="1-2")


@pytest.fixture
def no_loader(monkeypatch):
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: None if "FPGA" in name else which(name))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_devices_lists_ports_and_says_why_cables_are_missing(tf2, plug, monkeypatch):
    monkeypatch.setattr("tf2.runtime.flash.loader", lambda: ("/absent/openFPGALoader",))
    plug(port("/dev/ttyUSB7"))
    code, out, _ = tf2("devices")
    assert code == 0
    assert "/dev/ttyUSB7" in out
    assert "ulx3s-85f" in out
    assert "cables are not shown: /absent/openFPGALoader cannot be run: No such file" in out
    plug()
    _, out, _ = tf2("devices")
    assert "no serial port is there" in out
    _, out, _ = tf2("devices", "--json")
    assert json.loads(out)["ports"] == []


def test_flash_without_its_tool_names_the_extra(tf2, tmp_path, no_loader):
    (tmp_path / "net.bit").write_bytes(b"\xff\x00Part: LFE5U-85F-6CABGA381\x00")
    code, _, err = tf2("flash", tmp_path / "net.bit", "--board", "ulx3s-85f")
    assert code == 1
    assert "tf2[boards]" in err
    assert "Traceback" not in err


def test_flash_refuses_a_bitstream_for_another_part(tf2, tmp_path):
    (tmp_path / "net.bit").write_bytes(b"\xff\x00Part: LFE5U-25F-6CABGA381\x00")
    code, _, err = tf2("flash", tmp_path / "net.bit", "--board", "ulx3s-85f")
    assert code == 1
    assert "is for LFE5U-25F-6CABGA381, the ulx3s-85f has a LFE5U-85F" in " ".join(err.split())


@pytest.fixture
def run(tf2, work):
    """Run the model on the board whose build is in ./made."""

    def call(board="ulx3s-85f"):
        (work / "made").mkdir(exist_ok=True)
        design = design_of(SMALL)
        type(design)(**{**vars(design), "board": board}).save(work / "made" / "soc.json")
        photo = next((work / "photos").rglob("*.png"))
        code, _, err = tf2("run", "colors.tf2", photo, "--engine", "board", "--board", "made")
        return code, " ".join(err.split())

    return call


def test_a_run_without_a_board_says_which_ports_there_are(run, plug):
    plug()
    code, err = run()
    assert code == 1
    assert "no ulx3s-85f is plugged in: no serial port" in err
    assert "Traceback" not in err


def test_a_run_on_another_overlay_gives_both_hashes(run, plug, monkeypatch):
    other = named_config("test-mac")
    board = EmulatedBoard(other)
    plug(port("/dev/ttyUSB7"))
    monkeypatch.setattr("tf2.runtime.connect.SerialStream", lambda name, baud: board)
    monkeypatch.setattr(
        "tf2.runtime.connect.UartBone",
        lambda stream, baud: UartBone(stream, baud=baud, answer_s=0.0),
    )
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    code, err = run()
    assert code == 1
    assert f"holds the overlay {other.hash:08x}" in err
    assert f"'test-small' ({SMALL.hash:08x})" in err
