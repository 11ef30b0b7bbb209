"""Serial ports: a pseudo terminal with an emulated board at its other end, and ports that fail."""

import os
import threading
import tty

import pytest

from runtime.compiled_cases import check, compiled_case
from runtime.emulated_board import EmulatedBoard, design_of
from tf2.arch import named_config
from tf2.errors import DeviceError, LinkError, MissingExtraError
from tf2.runtime import BoardDevice, UartBone
from tf2.runtime.serial_stream import SerialStream

pytest.importorskip("serial")

SMALL = named_config("test-small")
BAUD = 1_000_000


class Terminal:
    """A pseudo terminal whose other end is a board, in a thread."""

    def __init__(self, board):
        self._board = board
        self._host, client = os.openpty()
        tty.setraw(client)
        self.name = os.ttyname(client)
        self._client = client
        self._gone = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                data = os.read(self._host, 4096)
            except OSError:
                return
            if self._gone:
                os.close(self._host)
                return
            self._board.write(data)
            answer = self._board.read(1 << 20, 0)
            while answer:
                answer = answer[os.write(self._host, answer) :]

    def unplug(self):
        self._gone = True
        os.write(self._client, b"!")  # wakes the thread
        self._thread.join()
        os.close(self._client)


@pytest.fixture
def case():
    return compiled_case(3, SMALL)


@pytest.fixture
def terminal(case):
    return Terminal(EmulatedBoard(SMALL, [case.program]))


def open_link(terminal):
    return UartBone(SerialStream(terminal.name, baud=BAUD), baud=BAUD, answer_s=5.0)


def test_a_program_runs_over_a_serial_port(terminal, case):
    device = BoardDevice(design_of(SMALL), lambda: open_link(terminal))
    check(device, case)
    device.close()
    check(device, case)  # opens it again
    device.close()


def test_a_board_that_does_not_answer_is_a_link_error(terminal):
    link = UartBone(SerialStream(terminal.name, baud=BAUD), baud=BAUD, answer_s=0.05)
    terminal._board.write = lambda data: None
    with pytest.raises(LinkError, match="0 of 4 bytes of address 0x00000004"):
        link.read(4, 4)
    link.close()


def test_a_port_that_is_open_elsewhere_is_busy(terminal):
    first = SerialStream(terminal.name, baud=BAUD)
    with pytest.raises(DeviceError, match="is busy: another program has it open"):
        SerialStream(terminal.name, baud=BAUD)
    first.close()
    SerialStream(terminal.name, baud=BAUD).close()


def test_an_absent_port_lists_those_there_are():
    with pytest.raises(DeviceError, match=r"there is no port /dev/ttyNONE; "):
        SerialStream("/dev/ttyNONE", baud=BAUD)


def test_unplugged_is_said_and_what_to_do(terminal):
    stream = SerialStream(terminal.name, baud=BAUD)
    terminal.unplug()
    with pytest.raises(DeviceError, match=r"unplugged or the link broke.*connect again"):
        stream.read(1, 1.0)
    stream.close()


def test_without_pyserial_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tf2\[boards\]"):
        SerialStream("/dev/ttyUSB0", baud=BAUD)
