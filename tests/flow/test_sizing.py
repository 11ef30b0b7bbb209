import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tf2.arch import NAMED
from tf2.errors import DoesNotFitError, PartTooSmallError
from tf2.flow import sizing
from tf2.flow.sizing import overlays_for, refuse_hopeless
from tf2.platforms import BOARDS, part_of


def silent(text, share):
    assert 0 <= share <= 1


@pytest.fixture(autouse=True)
def resources(monkeypatch):
    """An overlay takes 8,000 LUTs and 60 a lane, and a block RAM for 2 KB of features."""

    def estimate(config, family):
        luts = 8000 + 60 * config.lanes
        block_rams = 12 + config.feature_rows * config.row_bytes // 2048
        return SimpleNamespace(
            luts=luts, flip_flops=50 * config.lanes, dsps=4, block_rams=block_rams,
            shares=lambda part: {
                "LUT4": luts / part.luts, "block RAM": block_rams / part.block_rams,
            },
        )  # fmt: skip

    monkeypatch.setattr(sizing, "estimate_resources", estimate)


@pytest.fixture
def frames(monkeypatch):
    """Which overlays were compared; a frame takes 10^6 cycles a lane."""
    compared = []

    def estimate(model, config):
        compared.append(config)
        return SimpleNamespace(total=SimpleNamespace(cycles=10**6 // config.lanes))

    monkeypatch.setattr(sizing, "estimate", estimate)
    monkeypatch.setattr(sizing, "read_model", lambda path: path)
    return compared


@pytest.mark.parametrize("name", ["ecp5-25k", "ecp5-45k", "ecp5-85k"])
def test_what_is_chosen_fits_and_fills_the_part(frames, name):
    part = part_of(name)
    best, *smaller = overlays_for("m.tf2", part, progress=silent)
    limit = sizing.ROUTED_SHARE * part.luts
    assert 0.5 * limit <= 8000 + 60 * best.lanes <= limit
    blocks = 12 + best.feature_rows * best.row_bytes // 2048
    assert part.block_rams - best.row_bytes // 2 <= blocks <= part.block_rams
    lanes = [best.lanes, *(config.lanes for config in smaller)]
    assert all(after <= 0.8 * before for before, after in itertools.pairwise(lanes))
    assert len(frames) == sizing.COMPARED


def test_the_part_s_own_configuration_is_among_those_compared(frames, monkeypatch):
    monkeypatch.setattr(sizing, "ROUTED_SHARE", 0.8)  # as long as it is not routed
    overlays_for("m.tf2", part_of("ecp5-85k"), progress=silent)
    assert NAMED["ecp5-85k"] in frames


def test_most_frames_and_not_most_lanes_decide(frames, monkeypatch):
    def estimate(model, config):
        frames.append(config)
        return SimpleNamespace(
            total=SimpleNamespace(cycles=100 if len(frames) == 3 else 200 + len(frames))
        )

    monkeypatch.setattr(sizing, "estimate", estimate)
    assert overlays_for("m.tf2", part_of("ecp5-85k"), progress=silent)[0] is frames[2]


def test_a_board_leaves_less_and_sets_the_width_of_its_memory(frames):
    alone = overlays_for("m.tf2", part_of("ecp5-85k"), progress=silent)[0]
    board = BOARDS["ulx3s-85f"]
    best = overlays_for("m.tf2", board.fpga, board, progress=silent)[0]
    assert best.lanes <= alone.lanes
    assert 8000 + 60 * best.lanes + sizing.BOARD_LUTS <= sizing.ROUTED_SHARE * board.fpga.luts


def test_overlays_on_which_the_network_does_not_run_are_passed_over(frames, monkeypatch):
    counted = sizing.estimate

    def estimate(model, config):
        if config.feature_rows < 4096:
            raise DoesNotFitError(f"{config.feature_rows} rows are too few")
        return counted(model, config)

    monkeypatch.setattr(sizing, "estimate", estimate)
    assert overlays_for("m.tf2", part_of("ecp5-45k"), progress=silent)[0].feature_rows >= 4096

    def never(model, config):
        raise DoesNotFitError(f"{config.lanes} lanes")

    monkeypatch.setattr(sizing, "estimate", never)
    with pytest.raises(DoesNotFitError, match="lanes"):
        overlays_for("m.tf2", part_of("ecp5-45k"), progress=silent)


def test_a_part_for_no_overlay_is_refused(frames, monkeypatch):
    monkeypatch.setattr(sizing, "ROUTED_SHARE", 0.1)
    with pytest.raises(PartTooSmallError, match="no overlay fits ecp5-25k"):
        overlays_for("m.tf2", part_of("ecp5-25k"), progress=silent)


def test_an_overlay_far_too_large_names_what_it_takes_and_the_part_that_would_do():
    config = replace(NAMED["test-small"], outputs=8, pixels=9, feature_rows=1024)  # 576 lanes
    refuse_hopeless(config, part_of("ecp5-45k"))  # 97 %: synthesis will tell
    with pytest.raises(PartTooSmallError, match=r"175 % of the LUT4 on ecp5-25k; .* is ecp5-45k\."):
        refuse_hopeless(config, part_of("ecp5-25k"))
    with pytest.raises(PartTooSmallError, match="no larger part would do"):
        refuse_hopeless(NAMED["original-3840"], part_of("ecp5-85k"))


def test_what_a_board_takes_itself_counts_before_synthesis_too():
    board = BOARDS["ulx3s-85f"]
    config = replace(NAMED["test-small"], outputs=16, pixels=3, inputs=32)  # 100,160 LUT4
    refuse_hopeless(config, board.fpga)  # 119.8 %
    with pytest.raises(PartTooSmallError, match="ulx3s-85f takes around it would take 127 %"):
        refuse_hopeless(config, board.fpga, board)
