"""Instructions as bits: the table of fields that the compiler writes and the gateware reads.

An instruction is one little-endian integer, fields from the lowest bit up, filled up to whole DDR
beats. The first byte is the opcode. Field names, widths and signs are defined here only: the
gateware makes its layouts from `fields`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.instructions import End, Instruction, Layer, Load
from tf2.isa.walk import Emission, Split, walk

LOAD, STORE, LAYER, END = 1, 2, 3, 4

ROW = 20
"""Bits of a row or a step of rows, signed: rows of the Feature Buffer, or beyond its borders."""

SIZE = 14
"""Bits of a height, width or raster coordinate, unsigned; one more where signed."""

BANK = 5
"""Bits of a bank."""

START_AFTER = 8
"""Bits of a count of cycles between layers."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field.

    Attributes:
        name: Unique in the instruction.
        bits: Width.
        signed: Two's complement.
    """

    name: str
    bits: int
    signed: bool = False


def _u(name: str, bits: int) -> Field:
    return Field(name=name, bits=bits)


def _s(name: str, bits: int) -> Field:
    return Field(name=name, bits=bits, signed=True)


def _split(name: str) -> tuple[Field, Field]:
    return _u(f"{name}_bank", BANK), _s(f"{name}_row", ROW)


def _by_wrap(name: str, bits: int) -> tuple[Field, Field]:
    return _s(f"{name}_0", bits), _s(f"{name}_1", bits)


TRANSFER_FIELDS = (
    _u("opcode", 8), _u("wait_layers", 16), _u("wait_other", 16), _u("address", 40),
    _u("base_row", ROW), _u("rows", ROW),
)  # fmt: skip
"""`Load` (wait_other: stores) and `Store` (wait_other: loads)."""

END_FIELDS = (_u("opcode", 8),)


@lru_cache
def layer_fields(config: OverlayConfig) -> tuple[Field, ...]:
    """Return the fields of `Layer`; counts are stored less one where the name says ``_last``."""
    fields = [
        _u("opcode", 8), _u("wait_loads", 16), _u("wait_stores", 16),
        # Scheduler
        _u("z_last", 12), _u("y_last", 12), _u("x_last", 12), _u("words_last", 12),
        _u("length", 20), _u("interval", 20), _u("groups_last", 24), _u("out_groups_last", 12),
        _u("word_every_last", 12), _s("group_rows", ROW), _u("start_after", START_AFTER),
        # Feature read
        _u("in_unsigned", 1), _u("in_height", SIZE), _u("in_width", SIZE),
        _u("dilation_y", 12), _u("dilation_x", 12),
        *_split("tap_word"), *_split("tap_x"), *_split("tap_y"), *_split("tap_z"),
        _u("raster_height", SIZE), _u("raster_width", SIZE),
        _u("advance_x", SIZE), _u("advance_y", SIZE),
        *_by_wrap("in_x", SIZE + 2), *_by_wrap("in_y", SIZE + 2), *_by_wrap("in_row", ROW),
        # Post-processing
        _u("raw", 1), _u("out_unsigned", 1), _s("low", 8), _s("high", 8),
        # Residual
        _u("residual", 1), _u("residual_unsigned", 1), _u("shift_y", 4), _u("shift_r", 4),
        _u("shift_out", 4), _u("sum_unsigned", 1), _s("sum_low", 8), _s("sum_high", 8),
        _u("residual_plane_rows", ROW), _u("residual_part", 6), *_by_wrap("residual_row", ROW),
        # Pooling
        _u("pool_max", 1), _u("pool_sum", 1), _u("pool_size", 2), _u("pool_stride2", 1),
        _u("height", SIZE), _u("width", SIZE),
        *(
            field
            for axis in "xy"
            for field in (
                _u(f"emit_{axis}_first", SIZE), _u(f"emit_{axis}_last", SIZE),
                _u(f"emit_{axis}_clipped", SIZE), _u(f"emit_{axis}_clips", 1),
            )
        ),
        _u("line_bank", BANK), _u("line_groups", SIZE),
        _s("sum_bias", 32), _u("sum_multiplier", 8), _u("sum_shift", 5), _u("sum_out_unsigned", 1),
        # Feature write
        _u("out_plane_rows", ROW), _u("raw_rows", ROW), _u("out_part", 6),
        *_split("out_0"), *_split("out_1"), *_split("out_dx"), *_split("out_dy"),
        _u("segments_last", 4),
    ]  # fmt: skip
    for i in range(config.pixels):
        first = max(1, i.bit_length())  # in group 0 no lane's row or column exceeds its number
        fields += [
            _u(f"lane{i}_valid", 1), _u(f"lane{i}_x", first), _u(f"lane{i}_y", first),
            _s(f"lane{i}_in_x", SIZE + 2), _s(f"lane{i}_in_y", SIZE + 2),
            _u(f"lane{i}_in_bank", BANK), _s(f"lane{i}_in_row", ROW),
            *_split(f"lane{i}_out"), _u(f"lane{i}_phase_x", 1), _u(f"lane{i}_phase_y", 1),
            _u(f"lane{i}_residual_bank", BANK), _s(f"lane{i}_residual_row", ROW),
        ]  # fmt: skip
    return tuple(fields)


def _put_split(values: dict[str, int], name: str, value: Split) -> None:
    values[f"{name}_bank"], values[f"{name}_row"] = value


def _put_by_wrap(values: dict[str, int], name: str, value: tuple[int, int]) -> None:
    values[f"{name}_0"], values[f"{name}_1"] = value


def _put_emission(values: dict[str, int], axis: str, emission: Emission) -> None:
    values[f"emit_{axis}_first"] = emission.first
    # An empty range where only the clipped position emits: last below first.
    values[f"emit_{axis}_last"] = max(emission.last, 0)
    values[f"emit_{axis}_clipped"] = max(emission.clipped, 0)
    values[f"emit_{axis}_clips"] = emission.clipped >= 0


def layer_values(layer: Layer, config: OverlayConfig) -> dict[str, int]:
    """Return the value of every field of `layer_fields`.

    Raises:
        ProgramError: The layer breaks a rule of the array (`tf2.isa.walk`).
    """
    w = walk(layer, config)
    kernel, source, target = layer.kernel, layer.input, layer.output
    values: dict[str, int] = {
        "opcode": LAYER, "wait_loads": layer.wait_loads, "wait_stores": layer.wait_stores,
        "z_last": kernel.z - 1, "y_last": kernel.y - 1, "x_last": kernel.x - 1,
        "words_last": kernel.words - 1, "length": kernel.length, "interval": w.interval,
        "groups_last": layer.groups - 1, "out_groups_last": layer.out_groups - 1,
        "word_every_last": kernel.word_every - 1, "group_rows": w.group_rows,
        "start_after": layer.start_after,
        "in_unsigned": source.zero_point != 0, "in_height": source.height,
        "in_width": source.width, "dilation_y": kernel.dilation_y,
        "dilation_x": kernel.dilation_x, "raster_height": layer.raster_height,
        "raster_width": layer.raster_width, "advance_x": w.advance_x, "advance_y": w.advance_y,
        "raw": layer.raw, "out_unsigned": layer.zero_point != 0, "low": layer.low,
        "high": layer.high, "height": layer.height, "width": layer.width,
        "out_plane_rows": target.plane_rows, "raw_rows": target.raw_rows,
        "out_part": target.first_part % config.parts, "segments_last": w.segments - 1,
        "line_bank": layer.raster_width % layer.lanes,
        "line_groups": layer.raster_width // layer.lanes,
    }  # fmt: skip
    for name in ("tap_word", "tap_x", "tap_y", "tap_z", "out_dx", "out_dy"):
        _put_split(values, name, getattr(w, name))
    _put_split(values, "out_0", w.out[0])
    _put_split(values, "out_1", w.out[1])
    for name in ("in_x", "in_y", "in_row"):
        _put_by_wrap(values, name, getattr(w, name))
    _put_emission(values, "x", w.emit_x)
    _put_emission(values, "y", w.emit_y)
    _put_residual(values, layer, config, w.residual)
    _put_pool(values, layer)
    stride = 2 if values["pool_stride2"] else 1
    for i, lane in enumerate(w.lanes):
        values |= {
            f"lane{i}_valid": i < layer.lanes, f"lane{i}_x": lane.x, f"lane{i}_y": lane.y,
            f"lane{i}_in_x": lane.in_x, f"lane{i}_in_y": lane.in_y,
            f"lane{i}_in_bank": lane.in_bank, f"lane{i}_in_row": lane.in_row,
            f"lane{i}_phase_x": (lane.x + w.out_phase_x) % stride,
            f"lane{i}_phase_y": (lane.y + w.out_phase_y) % stride,
            f"lane{i}_residual_bank": lane.residual[0], f"lane{i}_residual_row": lane.residual[1],
        }  # fmt: skip
        _put_split(values, f"lane{i}_out", lane.out)
    return values


def _put_residual(
    values: dict[str, int], layer: Layer, config: OverlayConfig, rows: tuple[int, int]
) -> None:
    r = layer.residual
    _put_by_wrap(values, "residual_row", rows if r else (0, 0))
    values |= {
        "residual": r is not None,
        "residual_unsigned": r is not None and r.zero_point != 0,
        "shift_y": r.shift_y if r else 0, "shift_r": r.shift_r if r else 0,
        "shift_out": r.shift_out if r else 0,
        "sum_unsigned": r is not None and r.out_zero_point != 0,
        "sum_low": r.low if r else -128, "sum_high": r.high if r else 127,
        "residual_plane_rows": r.plane_rows if r else 0,
        "residual_part": r.first_part % config.parts if r else 0,
    }  # fmt: skip


def _put_pool(values: dict[str, int], layer: Layer) -> None:
    pool = layer.pool
    is_max = pool is not None and pool.kind == "max"
    is_sum = pool is not None and pool.kind == "sum"
    values |= {
        "pool_max": is_max, "pool_sum": is_sum,
        "pool_size": pool.size if pool and is_max else 1,
        "pool_stride2": bool(pool and is_max and pool.stride == 2),
        "sum_bias": pool.bias if pool else 0, "sum_multiplier": pool.multiplier if pool else 0,
        "sum_shift": pool.shift if pool else 0,
        "sum_out_unsigned": pool is not None and pool.zero_point != 0,
    }  # fmt: skip


def instruction_bytes(fields: Iterable[Field], config: OverlayConfig) -> int:
    """Return the bytes of an instruction with these fields: whole beats."""
    bits = sum(field.bits for field in fields)
    return -(-bits // (8 * config.ddr_bytes)) * config.ddr_bytes


def pack_fields(fields: Iterable[Field], values: Mapping[str, int]) -> int:
    """Return the fields as one integer.

    Raises:
        ProgramError: A value does not fit into its field.
    """
    word = offset = 0
    for field in fields:
        value = int(values[field.name])
        low = -(1 << (field.bits - 1)) if field.signed else 0
        if not low <= value < low + (1 << field.bits):
            raise ProgramError(f"{field.name} = {value} does not fit into {field.bits} bits")
        word |= (value & ((1 << field.bits) - 1)) << offset
        offset += field.bits
    return word


def encode(instruction: Instruction, config: OverlayConfig) -> bytes:
    """Return an instruction as it lies in DDR.

    Raises:
        ProgramError: It breaks a rule of the array, or a value does not fit; names the instruction.
    """
    fields, values = _fields_and_values(instruction, config)
    try:
        word = pack_fields(fields, values)
    except ProgramError as error:
        raise ProgramError(f"{getattr(instruction, 'name', 'End')!r}: {error}") from error
    return word.to_bytes(instruction_bytes(fields, config), "little")


def _fields_and_values(
    instruction: Instruction, config: OverlayConfig
) -> tuple[tuple[Field, ...], Mapping[str, int]]:
    if isinstance(instruction, Layer):
        return layer_fields(config), layer_values(instruction, config)
    if isinstance(instruction, End):
        return END_FIELDS, {"opcode": END}
    is_load = isinstance(instruction, Load)
    return TRANSFER_FIELDS, {
        "opcode": LOAD if is_load else STORE,
        "wait_layers": instruction.wait_layers,
        "wait_other": instruction.wait_stores if is_load else instruction.wait_loads,
        "address": instruction.address,
        "base_row": instruction.base_row,
        "rows": instruction.rows,
    }
