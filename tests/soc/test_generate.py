"""Designs of boards: complete, the same every time, and what the host is told of them is so."""

import re

import pytest

from tf2.arch import OverlayConfig, named_config
from tf2.errors import ConfigError, MissingExtraError
from tf2.platforms import BOARDS
from tf2.soc import SOC_BOARDS, Leveling, MemoryMap, generate

SINGLE = OverlayConfig(
    name="p1", outputs=1, pixels=1, inputs=4, feature_rows=1024, filter_words=64, post_pixels=1,
    pool_groups=64, ddr_bytes=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def designs(tmp_path_factory):
    """Give a function that generates a board's design, once."""
    for package in ("amaranth", "litex", "litedram", "liteeth", "litex_boards"):
        pytest.importorskip(package)
    made = {}

    def design(board):
        if board not in made:
            made[board] = generate(board, SINGLE, tmp_path_factory.mktemp(board))
        return made[board]

    return design


def test_boards_with_a_design_are_boards():
    assert set(SOC_BOARDS) <= set(BOARDS)


@pytest.mark.parametrize("board", SOC_BOARDS)
def test_a_design_is_complete(designs, board):
    files = designs(board)
    text = "".join(path.read_text() for path in files.verilog)
    assert re.search(rf"^module {files.top}\b", text, re.MULTILINE)
    assert re.search(r"^module overlay\b", text, re.MULTILINE)
    (instance,) = re.findall(r"^overlay overlay\(\n(.*?)\n\);", text, re.MULTILINE | re.DOTALL)
    ports = re.search(r"^module overlay\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert ports is not None
    declared = {name.strip() for name in ports[1].split(",")}
    joined = set(re.findall(r"\.(\w+)", instance))
    assert joined <= declared
    left = {name for name in declared - joined if not name.startswith("probe_")}
    assert left == {"irq", "s_axil_awprot", "s_axil_arprot"} - joined
    lpf = files.constraints.read_text()
    pins = set(re.findall(r'LOCATE COMP "(\w+)', lpf))
    assert {"serial_rx", "serial_tx"} <= pins
    assert f"{BOARDS[board].clock_hz / 1e6:.1f} MHz" in lpf


@pytest.mark.parametrize("board", SOC_BOARDS)
def test_a_design_is_the_same_every_time(designs, board, tmp_path):
    first = designs(board)
    second = generate(board, SINGLE, tmp_path)
    for one, other in zip(first.verilog, second.verilog, strict=True):
        assert one.read_text() == other.read_text()
    assert first.constraints.read_text() == second.constraints.read_text()
    assert first.memory_map == second.memory_map


@pytest.mark.parametrize("board", SOC_BOARDS)
def test_the_host_is_told_what_is_in_it(designs, board):
    files = designs(board)
    found = MemoryMap.load(files.memory_map_file)
    assert found == files.memory_map
    assert (found.board, found.config) == (board, SINGLE)
    assert found.memory_bytes == BOARDS[board].memory_bytes
    assert found.memory >= found.overlay + 0x1000
    names = {"ctrl_scratch", "sdram_dfii_control", "checksum_base", "checksum_value"}
    assert names <= found.registers.keys()
    assert found.wake[0].control
    assert found.leveling == (
        Leveling(modules=2, bitslips=4, delays=8) if BOARDS[board].memory == "ddr3" else None
    )


def test_clock_and_baud_are_what_was_asked_for(designs, tmp_path):
    designs("ulx3s-85f")
    files = generate("ulx3s-85f", SINGLE, tmp_path, clock_hz=40_000_000, baud=115_200)
    assert (files.memory_map.clock_hz, files.memory_map.baud) == (40_000_000, 115_200)


def test_an_unknown_board_lists_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match="there is one for ecpix5-85f, ulx3s-85f"):
        generate("ulx3s", SINGLE, tmp_path)


def test_without_litex_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"litex.*tf2\[boards\]"):
        generate("ulx3s-85f", named_config("test-small"), tmp_path)


def test_a_file_that_is_no_memory_map_is_refused(designs, tmp_path):
    path = tmp_path / "soc.json"
    whole = designs("ulx3s-85f").memory_map_file.read_text()
    for text in ("", "[]", whole[: len(whole) // 2], whole.replace('"overlay"', '"overlays"')):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"soc\.json does not describe the design"):
            MemoryMap.load(path)
