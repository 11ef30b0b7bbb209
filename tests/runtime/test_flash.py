"""Loading bitstreams, with a tool in the place of openFPGALoader that fails as it does."""

import sys

import pytest

from tf2.errors import ConfigError, DeviceError, MissingExtraError
from tf2.runtime.flash import flash, loader, scan_usb


@pytest.fixture
def bitstream(tmp_path):
    path = tmp_path / "net.bit"
    path.write_bytes(b"\xff\x00Part: LFE5U-85F-6CABGA381\x00\xff\xff\xbd\xb3" + bytes(100))
    return path


def tool(tmp_path, text="", code=0):
    """Return the command of a program that says something, and notes what it was asked."""
    script = tmp_path / "loader.py"
    script.write_text(
        "import sys, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"sys.stderr.write({text!r})\n"
        f"sys.exit({code})\n"
    )
    return (sys.executable, str(script))


def test_the_tool_is_asked_for_the_board(tmp_path, bitstream):
    flash(bitstream, "ulx3s-85f", command=tool(tmp_path))
    assert (tmp_path / "asked").read_text() == f"--board ulx3s {bitstream}"
    flash(bitstream, "ulx3s-85f", persistent=True, command=tool(tmp_path))
    assert (tmp_path / "asked").read_text() == f"--board ulx3s --write-flash {bitstream}"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("unable to open ftdi device: -3 (device not found)", "no such board is plugged in"),
        ("x: error while loading shared libraries: libusb-1.0.so.0: cannot open", "apt install"),
        ("unable to open ftdi device: -4 (usb_open() failed, Permission denied)", "udev rule"),
        ("claim_interface failed: resource busy", "another program"),
        ("write to ram\nJTAG init failed", r"failed \(1\): write to ram / JTAG init failed"),
    ],
)
def test_its_failures_say_what_to_do(tmp_path, bitstream, said, message):
    with pytest.raises(DeviceError, match=message):
        flash(bitstream, "ulx3s-85f", command=tool(tmp_path, said, 1))


def test_files_that_are_for_no_such_board_are_refused(tmp_path, bitstream):
    with pytest.raises(ConfigError, match="for LFE5U-85F-6CABGA381, the ecpix5-85f has a LFE5UM5G"):
        flash(bitstream, "ecpix5-85f", command=tool(tmp_path))
    (tmp_path / "x.bit").write_text("no bitstream")
    with pytest.raises(ConfigError, match=r"x\.bit is no bitstream"):
        flash(tmp_path / "x.bit", "ulx3s-85f", command=tool(tmp_path))
    with pytest.raises(ConfigError, match=r"absent\.bit cannot be read: No such file"):
        flash(tmp_path / "absent.bit", "ulx3s-85f", command=tool(tmp_path))
    with pytest.raises(ConfigError, match="there is no board 'ulx3s'"):
        flash(bitstream, "ulx3s", command=tool(tmp_path))
    assert not (tmp_path / "asked").exists()


def test_a_missing_tool_names_the_extra(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tf2\[boards\]"):
        loader()


def test_cables_are_the_lines_that_begin_with_bus_and_device(tmp_path):
    said = "empty\nBus device vid:pid       probe type      manufacturer serial\n"
    said += "001 004    0x0403:0x6015 FTDI231X FER-RADIONA-EMARD D00123\n"
    assert scan_usb(tool(tmp_path, said)) == (
        "001 004    0x0403:0x6015 FTDI231X FER-RADIONA-EMARD D00123",
    )
