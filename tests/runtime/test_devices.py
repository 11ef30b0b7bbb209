"""What is plugged in, from what pyserial would say."""

from types import SimpleNamespace

import pytest

from tf2.errors import DeviceError
from tf2.runtime.devices import find_port, find_ports

pytest.importorskip("serial")


def port(device, usb=(None, None), location=None):
    return SimpleNamespace(
        device=device, description=f"port {device}", vid=usb[0], pid=usb[1], location=location
    )


ULX3S = port("/dev/ttyUSB7", (0x0403, 0x6015), "1-2:1.0")
ECPIX5 = [port(f"/dev/ttyUSB{n}", (0x0403, 0x6010), f"1-3:1.{n}") for n in (0, 1)]
PLAIN = port("/dev/ttyS0")


@pytest.fixture
def plug(monkeypatch):
    return lambda *ports: monkeypatch.setattr(
        "serial.tools.list_ports.comports", lambda: list(ports)
    )


def test_ports_say_which_boards_they_may_be(plug):
    plug(ULX3S, *ECPIX5, PLAIN)
    found = {p.name: p.boards for p in find_ports()}
    assert found == {
        "/dev/ttyS0": (),
        "/dev/ttyUSB0": (),  # of two the first is the programmer's
        "/dev/ttyUSB1": ("ecpix5-85f",),
        "/dev/ttyUSB7": ("ulx3s-85f",),
    }
    assert [p.usb for p in find_ports()] == ["", "0403:6010", "0403:6010", "0403:6015"]


def test_the_one_board_is_found(plug):
    plug(ULX3S, *ECPIX5, PLAIN)
    assert find_port("ulx3s-85f") == "/dev/ttyUSB7"
    assert find_port("ecpix5-85f") == "/dev/ttyUSB1"


def test_none_or_several_are_errors_that_name_what_there_is(plug):
    plug()
    with pytest.raises(DeviceError, match="no ulx3s-85f is plugged in: no serial port"):
        find_port("ulx3s-85f")
    plug(PLAIN)
    with pytest.raises(DeviceError, match=r"the serial ports are /dev/ttyS0 .*--port"):
        find_port("ulx3s-85f")
    plug(ULX3S, port("/dev/ttyUSB8", (0x0403, 0x6015)))
    with pytest.raises(DeviceError, match=r"several.*/dev/ttyUSB7, /dev/ttyUSB8.*--port"):
        find_port("ulx3s-85f")
