"""The memories of an overlay, and the blocks that each takes on a family of FPGAs: exact.

Which memories become blocks and which become LUTs is as yosys' memory_libmap decides for Lattice
and AMD: whatever costs less by the costs in its libraries. For Intel it is this file's own rule
(MLAB up to 32 words, else M20K), because yosys 0.66 knows the M10K of Cyclone V only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tf2.arch import OverlayConfig
from tf2.platforms import Family

FILTER_PREFETCH_BEATS = 128
ROW_PREFETCH_BEATS = 128
CODE_PREFETCH_BEATS = 32
HELD_LAYERS = 8
HELD_BEATS = 8
RESIDUAL_GROUPS = 8
QUEUED_TRANSFERS = 4
OPEN_BURSTS = 8
"""Depths of the gateware's queues; a test holds them to the gateware."""

LAYER_BITS = 966
LANE_BITS = 110
"""Bits of a layer's instruction, and more for each position; a test holds them to the ISA."""

PARAMETER_BITS = 59
LOAD_BITS = 40
BLOCK_BITS = 32
TRANSFER_BITS = 120
ROUTE_BITS = 12
"""Widths of the other words."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memories that are alike.

    Attributes:
        name: What they hold.
        unit: That they are in.
        count: How many.
        depth: Words of each.
        width: Bits of a word.
        true_dual_port: Two ports with an address each, one of which writes and reads; else one port
            writes and one reads.
        granule: Bits written at once; 0 where always the whole word is.
        always_blocks: Block RAMs however small it is.
    """

    name: str
    unit: str
    count: int
    depth: int
    width: int
    true_dual_port: bool = False
    granule: int = 0
    always_blocks: bool = False

    @property
    def bits(self) -> int:
        """Of all of them."""
        return self.count * self.depth * self.width


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """The block RAM of a family.

    Attributes:
        simple: (words, bits) of a block with one port to write and one to read, widest first.
        dual: The same of a true dual port block.
        byte: Bits that have a write enable of their own.
        cost: Of a block, as memory_libmap counts.
        lut_cost: Of a piece of memory in LUTs.
        lut_shapes: (words, bits) of a piece of LUT memory.
        scaled: Whether a piece of LUT memory used in part costs a part.
    """

    simple: tuple[tuple[int, int], ...]
    dual: tuple[tuple[int, int], ...]
    byte: int
    cost: float
    lut_cost: float
    lut_shapes: tuple[tuple[int, int], ...]
    scaled: bool = False


_BLOCKS: dict[Family, _Blocks] = {
    # Ref: yosys techlibs/lattice/brams_16kd.txt, lutrams_trellis.txt.
    "ecp5": _Blocks(
        simple=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        dual=((1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        byte=9, cost=128, lut_cost=4, lut_shapes=((16, 4),),
    ),
    # Blocks of 18 kbit, of which two are one of 36.
    # Ref: yosys techlibs/xilinx/brams_xc4v.txt, lutrams_xcu.txt.
    "xcup": _Blocks(
        simple=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        dual=((1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        byte=9, cost=128.5, lut_cost=16, lut_shapes=((32, 14), (64, 7)), scaled=True,
    ),
    # Ref: Intel "Arria 10 Core Fabric" handbook, embedded memory: M20K, MLAB of 32 x 20.
    "intel": _Blocks(
        simple=((512, 40), (1024, 20), (2048, 10), (4096, 5), (8192, 2), (16384, 1)),
        dual=((1024, 20), (2048, 10), (4096, 5), (8192, 2), (16384, 1)),
        byte=10, cost=128, lut_cost=0, lut_shapes=((32, 20),),
    ),
}  # fmt: skip

LUTS_OF_PIECE: dict[Family, int] = {"ecp5": 6, "xcup": 8, "intel": 10}
"""LUTs (ALMs) of a piece of `lut_shapes`: a DPR16X4, a RAM32M16, an MLAB."""


def memories(config: OverlayConfig) -> tuple[Memory, ...]:
    """Return the memories of an overlay."""
    beat, word = 8 * config.ddr_bytes, 8 * config.outputs
    layer_beats = -(-layer_bits(config) // beat)
    held_rows = max(2, -(-HELD_BEATS // config.row_beats))

    def one(name: str, unit: str, depth: int, width: int) -> Memory:
        return Memory(name=name, unit=unit, count=1, depth=depth, width=width)

    return (
        Memory(
            name="feature buffer", unit="feature_bank", count=config.pixels,
            depth=config.feature_rows, width=8 * config.inputs, true_dual_port=True, granule=word,
        ),
        Memory(
            name="filter caches", unit="pe", count=config.outputs, depth=config.filter_words,
            width=config.weight_bits * config.inputs,
        ),
        Memory(
            name="pooling lines", unit="finish", count=2 * config.pixels,
            depth=config.pool_groups, width=word,
        ),
        Memory(
            name="parameters", unit="post_process", count=1, depth=config.parameter_slots,
            width=PARAMETER_BITS * config.outputs, always_blocks=True,
        ),
        one("residuals", "residual_reader", RESIDUAL_GROUPS, word * config.pixels),
        one("filter prefetch", "filter_loader", FILTER_PREFETCH_BEATS, beat),
        one("row prefetch", "feature_loader", ROW_PREFETCH_BEATS, beat),
        one("rows to load", "feature_loader", 2, LOAD_BITS),
        one("rows to store", "feature_store", held_rows, 8 * config.row_bytes),
        one("code prefetch", "controller", CODE_PREFETCH_BEATS, beat),
        one("layers", "controller", HELD_LAYERS * layer_beats, beat),
        one("blocks", "controller", 2 * HELD_LAYERS, BLOCK_BITS),
        one("loads", "controller", QUEUED_TRANSFERS, TRANSFER_BITS),
        one("stores", "controller", QUEUED_TRANSFERS, TRANSFER_BITS),
        one("open reads", "reader", OPEN_BURSTS, ROUTE_BITS),
        one("open writes", "writer", OPEN_BURSTS, 8),
    )  # fmt: skip


def layer_bits(config: OverlayConfig) -> int:
    """Return the bits of a layer's instruction."""
    places = sum(max(1, lane.bit_length()) for lane in range(config.pixels))
    return LAYER_BITS + LANE_BITS * config.pixels + 2 * places


def blocks(memory: Memory, family: Family) -> int:
    """Return the block RAMs that memories take; 0 where LUTs do it."""
    return memory.count * _blocks_of_one(memory, family) if in_blocks(memory, family) else 0


def in_blocks(memory: Memory, family: Family) -> bool:
    """Return whether block RAMs hold it, not LUTs."""
    kind = _BLOCKS[family]
    if memory.true_dual_port or memory.always_blocks:
        return True
    if family == "intel":
        return memory.depth > kind.lut_shapes[0][0]
    lut_cost = min(_lut_cost(memory, shape, kind) for shape in kind.lut_shapes)
    return _blocks_of_one(memory, family) * kind.cost < lut_cost


def memory_luts(memory: Memory, family: Family) -> int:
    """Return the LUTs (ALMs) that hold what no block RAM does, without those around it."""
    if in_blocks(memory, family):
        return 0
    kind = _BLOCKS[family]
    depth, width = min(kind.lut_shapes, key=lambda shape: _lut_cost(memory, shape, kind))
    pieces = -(-memory.depth // depth) * memory.width / width
    pieces = pieces if kind.scaled else -(-memory.depth // depth) * -(-memory.width // width)
    return round(memory.count * pieces * LUTS_OF_PIECE[family])


def block_rams(config: OverlayConfig, family: Family) -> int:
    """Return the block RAMs of an overlay; on UltraScale+ in blocks of 18 kbit."""
    return sum(blocks(memory, family) for memory in memories(config))


def largest(found: Iterable[Memory], family: Family) -> Memory:
    """Return the memories that take the most block RAMs together."""
    return max(found, key=lambda memory: blocks(memory, family))


def _blocks_of_one(memory: Memory, family: Family) -> int:
    kind = _BLOCKS[family]
    shapes = kind.dual if memory.true_dual_port else kind.simple
    return min(_pieces(memory, shape, kind.byte) for shape in shapes)


def _pieces(memory: Memory, shape: tuple[int, int], byte: int) -> int:
    depth, width = shape
    rows = -(-memory.depth // depth)
    if width < byte or not memory.granule or memory.granule == memory.width:
        return rows * -(-memory.width // width)
    # Each granule fills whole bytes, the ninth bit of each with the rest of it.
    granule_bytes = -(-memory.granule // byte)
    return rows * -(-granule_bytes * (memory.width // memory.granule) // (width // byte))


def _lut_cost(memory: Memory, shape: tuple[int, int], kind: _Blocks) -> float:
    """Return what memory_libmap counts: pieces, and half a point a bit of the multiplexer."""
    depth, width = shape
    rows = -(-memory.depth // depth)
    across = memory.width / width if kind.scaled else -(-memory.width // width)
    return rows * across * kind.lut_cost + (rows - 1) * memory.width / 2
