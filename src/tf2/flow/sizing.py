"""The overlay for a network and a part, where the user names none: the largest that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tf2.arch import NAMED, OverlayConfig
from tf2.errors import CompileError, PartTooSmallError
from tf2.flow.overlays import ModelLike, estimate
from tf2.model_file import CompressedModel, read_model
from tf2.platforms import PARTS, Board, Part
from tf2.resources import estimate_resources

Progress = Callable[[str, float], None]

LUT_SHARE = 0.8
"""Of a part's LUTs that an overlay may take by the resource model, for a vendor's tools."""

ROUTED_SHARE = 0.55
"""The same for nextpnr: it routes 48 % of an ECP5-85F in a quarter of an hour; of 80 % more than
half of the arcs are left after an hour (docs/building.md)."""

BOARD_LUTS = 6000
"""Taken by a board's memory controller and host link."""

COMPARED = 4
"""Of the largest overlays, how many are compared by the frames that they compute."""

SMALLER = 0.8
"""What is tried after an overlay that failed has at most so many of its lanes."""

HOPELESS = 1.2
"""Above this share of a part, by the resource model, nothing is tried: it is 10 % off at most."""

_INPUTS = (4, 8, 16, 32, 64)
_PIXELS = (1, 3, 5, 7, 9, 15, 21, 31)
_ROWS = 1024
_RASTER = 130
"""Columns that the pooling unit's line buffer must hold: SqueezeNet's first pooling needs 113."""


def overlays_for(
    model: ModelLike, part: Part, board: Board | None = None, *, progress: Progress
) -> list[OverlayConfig]:
    """Return overlays for a network on a part: the one to build first, then smaller ones.

    All that fit by the resource model are ordered by lanes; of the largest few, the one that
    computes most frames a cycle, by the cycle model, is the first.

    Raises:
        PartTooSmallError: Not even the smallest fits.
        CompileError: The network runs on none of those that fit; the largest one's reason.
    """
    loaded = model if isinstance(model, CompressedModel) else read_model(model)
    fitting = sorted(_fitting(part, board), key=lambda config: -config.lanes)
    if not fitting:
        raise PartTooSmallError(f"no overlay fits {part.name}; the smallest has 8 lanes")
    cycles: dict[int, OverlayConfig] = {}
    failure: CompileError | None = None
    # The part's own configuration, tuned by hand, is always among them.
    for index, config in enumerate(sorted(fitting, key=lambda c: c.name not in NAMED)):
        progress(f"size the overlay: {config.lanes} lanes", min(1.0, index / COMPARED))
        try:
            cycles[estimate(loaded, config).total.cycles] = config
        except CompileError as error:  # its buffers are too small for this network
            failure = failure or error
        if len(cycles) == COMPARED:
            break
    if not cycles:
        assert failure is not None
        raise failure
    best = cycles[min(cycles)]
    return [best, *_smaller(best, fitting)]


def refuse_hopeless(config: OverlayConfig, part: Part, board: Board | None = None) -> None:
    """Say before hours of synthesis that an overlay is far too large for a part.

    Args:
        config: The overlay.
        part: Where it goes.
        board: Whose memory controller and host link are on the part too; None: the overlay alone.

    Raises:
        PartTooSmallError: By the resource model it needs more than `HOPELESS` of something; says
            what, and the nearest part that would do.
    """
    shares = _shares(config, part, board)
    if max(shares.values()) <= HOPELESS:
        return
    over = ", ".join(
        f"{100 * share:.0f} % of the {name}" for name, share in shares.items() if share > 1
    )
    family = [other for other in PARTS.values() if other.family == part.family]
    enough = [other for other in family if max(_shares(config, other, board).values()) <= 1]
    nearest = min(enough, key=lambda other: other.luts, default=None)
    hint = f"the nearest that would do is {nearest.name}" if nearest else "no larger part would do"
    around = "" if board is None else f" with what {board.name} takes around it"
    raise PartTooSmallError(
        f"{config.name} ({config.lanes} lanes){around} would take {over} on {part.name}; {hint}. "
        "Give --overlay a smaller one, or leave it out to have one sized"
    )


def _shares(config: OverlayConfig, part: Part, board: Board | None) -> dict[str, float]:
    """Return each resource's share of a part, by name, with the LUTs of the board's own logic."""
    shares = estimate_resources(config, part.family).shares(part)
    shares[part.lut_kind] += _board_luts(board) / part.luts
    return shares


def _board_luts(board: Board | None) -> int:
    return 0 if board is None else BOARD_LUTS


def _smaller(best: OverlayConfig, fitting: list[OverlayConfig]) -> Iterator[OverlayConfig]:
    """Give the next ones to try, each well below the one before."""
    lanes = best.lanes
    for config in fitting:
        if config.lanes <= SMALLER * lanes:
            yield config
            lanes = config.lanes


def _fitting(part: Part, board: Board | None) -> Iterator[OverlayConfig]:
    named = NAMED.get(part.name)
    shapes = [
        (outputs, pixels, inputs)
        for inputs in _INPUTS
        for outputs in (inputs // 2, inputs)
        for pixels in _PIXELS
    ]
    if named is not None and _fits(named, part, board):
        yield named
        shapes = [s for s in shapes if s != (named.outputs, named.pixels, named.inputs)]
    for outputs, pixels, inputs in shapes:
        config = _derived(outputs, pixels, inputs, part, board)
        if config is not None:
            yield config


def _derived(
    outputs: int, pixels: int, inputs: int, part: Part, board: Board | None
) -> OverlayConfig | None:
    """Return an overlay of that shape with the largest Feature Buffer that fits, if one does."""
    config = OverlayConfig(
        name=f"{outputs}x{pixels}x{inputs}",
        outputs=outputs,
        pixels=pixels,
        inputs=inputs,
        feature_rows=_ROWS,
        filter_words=512 if part.open_tools else 4096,
        post_pixels=max(1, pixels // 3),
        pool_groups=1 << (-(-_RASTER // pixels)).bit_length(),
        ddr_bytes=part.ddr_bytes if board is None else max(4, board.memory_bytes_a_cycle),
    )
    if not _fits(config, part, board):
        return None
    low, high = 1, (1 << 16) // _ROWS + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(replace(config, feature_rows=min(middle * _ROWS, 1 << 16)), part, board):
            low = middle
        else:
            high = middle
    return replace(config, feature_rows=min(low * _ROWS, 1 << 16))


def _fits(config: OverlayConfig, part: Part, board: Board | None) -> bool:
    needed = estimate_resources(config, part.family)
    share = ROUTED_SHARE if part.open_tools else LUT_SHARE
    return (
        needed.luts + _board_luts(board) <= share * part.luts
        and needed.flip_flops <= part.flip_flops
        and needed.block_rams <= part.block_rams
        and needed.dsps <= part.dsps
    )
