"""The host's driver against a board in Python, with everything that can go wrong on the way."""

import numpy as np
import pytest

from runtime.compiled_cases import check, compiled_case
from runtime.emulated_board import ECP5, EmulatedBoard, design_of
from tf2.arch import OverlayConfig, named_config
from tf2.arch import register_map as registers
from tf2.arch.register_map import Register
from tf2.errors import DeviceError, ProgramError
from tf2.runtime import BoardDevice

SMALL = named_config("test-small")
SEEDS = (3, 5, 7)


@pytest.fixture(scope="module")
def cases():
    return [compiled_case(seed, SMALL) for seed in SEEDS]


@pytest.fixture
def board(cases):
    return EmulatedBoard(SMALL, [case.program for case in cases])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def connect(board, **options):
    return BoardDevice(design_of(board.config), board.open, **options)


def test_programs_give_what_the_functional_overlay_gives(board, cases):
    device = connect(board)
    for case in (*cases, *cases):
        assert check(device, case).cycles == 1234


def test_filters_are_sent_once_even_by_two_processes(board, cases):
    device = connect(board)
    check(device, cases[0])
    first = board.sent
    check(device, cases[0])
    second = board.sent - first
    code = len(cases[0].program.code) + len(cases[0].program.filters)
    assert second < first - code
    before = board.sent
    check(connect(board), cases[0])  # a new process, the same board
    assert board.sent - before < second + 1500  # what it takes to connect and to check


def test_the_memory_is_woken_once_in_the_order_of_the_design(board, cases):
    connect(board)
    assert board.steps == [
        ("control", 0), ("control", 14), ("pi0_address", 288), ("pi0_baddress", 1),
        ("pi0_command", 15), ("pi0_command_issue", 1), ("control", 1),
    ]  # fmt: skip
    check(connect(board), cases[0])
    assert len(board.steps) == 7


def test_each_byte_lane_gets_the_middle_of_the_delays_that_work(cases):
    board = EmulatedBoard(SMALL, [cases[0].program], delays=((2, (1, 2, 3, 5)), (0, (4, 5, 6, 7))))
    device = BoardDevice(design_of(SMALL, leveling=ECP5), board.open)
    assert board.taps == [[2, 2], [0, 5]]
    check(device, cases[0])


def test_memory_that_is_never_read_right_is_an_error(cases):
    board = EmulatedBoard(SMALL, delays=((1, (3,)), (1, ())))
    with pytest.raises(DeviceError, match=r"byte 1 of the board's memory is read wrong"):
        BoardDevice(design_of(SMALL, leveling=ECP5), board.open)


@pytest.mark.parametrize("kind", ["lose", "alter"])
@pytest.mark.parametrize("seed", range(6))
def test_lost_and_altered_bytes_are_sent_again(board, cases, kind, seed):
    device = connect(board)
    check(device, cases[1])
    start, quiet = board.sent, board.sent
    check(device, cases[1])
    count = board.sent - quiet
    at = np.random.default_rng(seed).integers(start + count, start + 3 * count, 3)
    getattr(board, kind).update(map(int, at))
    for case in (cases[1], cases[0], cases[1], cases[1]):
        check(device, case)
    assert board.sent > max(at)


def test_after_a_loss_programs_in_memory_are_checked_again(board, cases):
    device = connect(board)
    check(device, cases[0])
    board.memory[cases[0].program.filters_address] ^= 1  # what a packet cut in half may do
    board.lose.add(board.sent + 20)
    check(device, cases[0])


def test_a_start_that_is_not_heard_is_repeated(board, cases):
    device = connect(board)
    board.deaf_starts = 2
    check(device, cases[0])
    board.deaf_starts = 100
    with pytest.raises(DeviceError, match="does not start"):
        device.run(cases[0].program, cases[0].arena.copy())


def test_no_board_says_what_to_do():
    board = EmulatedBoard(SMALL)
    board.read = lambda size, timeout_s: b""
    with pytest.raises(DeviceError, match=r"no board answers.*powered.*tf2 flash"):
        connect(board)


def test_another_bitstream_is_refused(board):
    board.words[4] = 0xDEAD
    with pytest.raises(DeviceError, match="no design of tf2"):
        connect(board)


def test_another_configuration_is_refused_at_the_start():
    other = OverlayConfig(**{**vars(SMALL), "pixels": 5, "name": "other"})
    with pytest.raises(DeviceError, match=rf"holds the overlay {other.hash:08x}.*'test-small'"):
        BoardDevice(design_of(SMALL), EmulatedBoard(other).open)


def test_a_bitstream_of_another_version_is_refused(board):
    board.overlay[Register.ID] = 0x54463200
    with pytest.raises(DeviceError, match=r"version 0x54463200.*build the bitstream with this"):
        connect(board)


def test_a_program_for_another_overlay_is_refused(board):
    mac = named_config("test-mac")
    case = compiled_case(0, mac)
    with pytest.raises(ProgramError, match="compile it again"):
        connect(board).run(case.program, case.arena)


def test_unplugged_amid_a_run_and_plugged_in_again(board, cases):
    device = connect(board)
    check(device, cases[0])
    board.unplug_at_byte = board.sent + 100
    with pytest.raises(DeviceError, match="unplugged"):
        device.run(cases[0].program, cases[0].arena.copy())
    with pytest.raises(DeviceError, match="there is no port"):
        device.run(cases[0].program, cases[0].arena.copy())
    board.unplugged, board.unplug_at_byte = False, None
    board.wake_up()  # it was without power
    check(device, cases[0])


def test_an_error_of_the_overlay_names_the_layer_and_the_next_run_works(board, cases):
    device = connect(board)
    board.error = 5
    with pytest.raises(DeviceError, match=r"layer '.*error 5.*watchdog"):
        device.run(cases[0].program, cases[0].arena.copy())
    board.error = 0
    check(device, cases[0])


def test_a_run_without_end_is_given_up_and_the_next_one_works(board, cases):
    device = connect(board, timeout_s=0.0)
    board.hangs = True
    with pytest.raises(DeviceError, match=r"layer 'n\d+': no end after"):
        device.run(cases[0].program, cases[0].arena.copy())
    board.hangs = False
    check(connect(board), cases[0])


def test_an_overlay_that_does_not_stop_is_reset_with_its_design(board, cases):
    device = connect(board, timeout_s=0.0)
    board.hangs = board.stubborn = True
    with pytest.raises(DeviceError, match="no end after"):
        device.run(cases[0].program, cases[0].arena.copy())
    assert board.steps == []  # as after the bitstream was loaded
    board.hangs = False
    check(device, cases[0])
    assert board.opened == 2
    assert len(board.steps) == 7


def test_an_overlay_left_busy_by_another_process_is_stopped_first(board, cases):
    device = connect(board)
    board.status = registers.STATUS_BUSY
    check(device, cases[0])
    board.status, board.stubborn = registers.STATUS_BUSY, True
    with pytest.raises(DeviceError, match=r"still busy.*the board was reset, run again"):
        device.run(cases[0].program, cases[0].arena.copy())
    check(device, cases[0])


def test_an_interrupt_leaves_a_board_that_works(board, cases, monkeypatch):
    device = connect(board)
    with monkeypatch.context() as patch:
        patch.setattr(board, "_run", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            device.run(cases[0].program, cases[0].arena.copy())
    check(device, cases[0])
    assert board.opened == 2


def test_programs_that_do_not_fit_together_take_turns(board, cases, monkeypatch):
    design = design_of(SMALL)
    largest = max(case.program.arena_bytes for case in cases)
    small = -(-largest // 4096) * 4096
    device = BoardDevice(type(design)(**{**vars(design), "memory_bytes": small}), board.open)
    for case in (*cases, *cases):
        check(device, case)
    tiny = BoardDevice(type(design)(**{**vars(design), "memory_bytes": 1024}), board.open)
    with pytest.raises(DeviceError, match="the board has 1,024"):
        tiny.run(cases[0].program, cases[0].arena.copy())
