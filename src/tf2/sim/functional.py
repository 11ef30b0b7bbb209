"""The overlay instruction by instruction, in NumPy: memories and results, no cycles.

This is the meaning of the ISA. The RTL is compared with it byte for byte, memory for memory. A
program runs here strictly in order; its waits only matter to units that run beside each other, and
`tf2.isa.verify` proves that they order what depends on each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.filters import Parameters, block_bytes, decode_parameters, decode_words
from tf2.isa.instructions import End, Instruction, Layer, Load, Pool, Store
from tf2.isa.layout import from_ddr, to_ddr
from tf2.isa.program import Program
from tf2.isa.verify import verify
from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import BYTE_MIN
from tf2.sim.device import RunReport, check_target


class FunctionalDevice:
    """A device whose runs are `FunctionalOverlay`'s; its reports count nothing.

    Args:
        config: Of the overlay.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self.config = config
        self._verified: Program | None = None

    def run(self, program: Program, arena: NDArray[np.uint8]) -> RunReport:
        """Run a program over an arena, see `tf2.sim.device.Device`."""
        check_target(program, arena, self.config)
        if self._verified is not program:
            verify(program)
            self._verified = program
        overlay = FunctionalOverlay(self.config, arena, program.filters_address)
        overlay.run(program.instructions)
        return RunReport()


class FunctionalOverlay:
    """The memories of an overlay, and what each instruction does to them.

    Args:
        config: Of the overlay.
        arena: The DDR that the program sees, changed in place by stores.
        filters: Byte offset of the filter stream in the arena.
    """

    def __init__(self, config: OverlayConfig, arena: NDArray[np.uint8], filters: int) -> None:
        self.config = config
        self.arena = arena
        self.features = np.zeros((config.feature_rows, config.pixels, config.inputs), dtype=np.int8)
        self._next_filter = filters

    def run(self, instructions: Iterable[Instruction]) -> None:
        """Execute instructions in order.

        Raises:
            ProgramError: An address lies outside of its memory.
        """
        for instruction in instructions:
            self.execute(instruction)

    def execute(self, instruction: Instruction) -> None:
        """Execute one instruction."""
        match instruction:
            case Load():
                data = self.arena[self._in_arena(instruction)]
                self.features[self._rows(instruction)] = from_ddr(data, self.config)
            case Store():
                rows = self.features[self._rows(instruction)]
                self.arena[self._in_arena(instruction)] = np.frombuffer(
                    to_ddr(rows, self.config), dtype=np.uint8
                )
            case Layer():
                self._layer(instruction)
            case End():
                pass

    def _in_arena(self, transfer: Load | Store) -> slice:
        size = transfer.rows * self.config.row_beats * self.config.ddr_bytes
        if transfer.address < 0 or transfer.address + size > self.arena.size:
            raise ProgramError(f"{transfer.name!r}: {size} bytes at {transfer.address} of DDR")
        return slice(transfer.address, transfer.address + size)

    def _rows(self, transfer: Load | Store) -> slice:
        if transfer.base_row < 0 or transfer.base_row + transfer.rows > self.config.feature_rows:
            raise ProgramError(f"{transfer.name!r}: rows {transfer.base_row}+{transfer.rows}")
        return slice(transfer.base_row, transfer.base_row + transfer.rows)

    def _layer(self, layer: Layer) -> None:
        flat = self.features.reshape(-1, self.config.inputs)
        seen = self._gather(layer, flat, 0)
        for group in range(layer.out_groups):
            if layer.kernel.word_step and group:
                seen = self._gather(layer, flat, group)
            acc, parameters = self._accumulate(layer, seen)
            self._finish(layer, group, acc, parameters, flat)

    def _gather(self, layer: Layer, flat: NDArray[np.int8], group: int) -> NDArray[np.int8]:
        """Return the (positions, K, C) bytes that one group of outputs sums over."""
        kernel, source, p = layer.kernel, layer.input, self.config.pixels
        first_word = (group // kernel.word_every) * kernel.word_step
        y = np.arange(layer.height) * kernel.stride_y - kernel.pad_top
        x = np.arange(layer.width) * kernel.stride_x - kernel.pad_left
        seen = np.empty(
            (layer.height, layer.width, kernel.length, self.config.inputs), dtype=np.int8
        )
        k = 0
        for tz in range(kernel.z):
            for ty in range(kernel.y):
                for tx in range(kernel.x):
                    iy, ix = y + ty * kernel.dilation_y, x + tx * kernel.dilation_x
                    inside = ((iy >= 0) & (iy < source.height))[:, None] & (
                        (ix >= 0) & (ix < source.width)
                    )[None, :]
                    position = np.where(inside, iy[:, None] * source.pitch + ix[None, :], 0)
                    for word in range(kernel.words):
                        row = (
                            source.base_row
                            + (first_word + word) * source.plane_rows
                            + tz * source.slice_rows
                        )
                        values = flat[row * p + position]
                        seen[:, :, k] = np.where(inside[..., None], values, source.zero_point)
                        k += 1
        return seen.reshape(layer.height * layer.width, kernel.length, self.config.inputs)

    def _accumulate(
        self, layer: Layer, seen: NDArray[np.int8]
    ) -> tuple[NDArray[np.int64], Parameters]:
        """Take one block of the filter stream; return (accumulators (positions, N), parameters)."""
        config, length = self.config, layer.kernel.length
        size = block_bytes(length, config)
        block = self.arena[self._next_filter : self._next_filter + size].tobytes()
        if len(block) != size:
            raise ProgramError(f"layer {layer.name!r}: the filter stream ends before it")
        self._next_filter += size
        split = config.parameter_words * config.filter_word_bytes
        parameters = decode_parameters(block[:split], config)
        weights = decode_words(block[split:], config)  # (K, N, C)
        sums = seen.reshape(len(seen), -1).astype(np.float64) @ (
            weights.transpose(0, 2, 1).reshape(-1, config.outputs).astype(np.float64)
        )
        acc = sums.astype(np.int64) + parameters.bias
        if config.lane == "sac":  # a negative code adds ~(byte << k) = -(byte << k) - 1
            acc -= (weights < 0).sum(axis=(0, 2))
        return acc.astype(np.int32).astype(np.int64), parameters

    def _finish(
        self,
        layer: Layer,
        group: int,
        acc: NDArray[np.int64],
        parameters: Parameters,
        flat: NDArray[np.int8],
    ) -> None:
        """Rescale, add, pool and write one group of outputs."""
        config, target = self.config, layer.output
        plane, part = divmod(target.first_part + group, config.parts)
        at = slice(part * config.outputs, (part + 1) * config.outputs)
        base = target.base_row + plane * target.plane_rows
        if layer.raw and layer.pool is None:
            self._write(layer, flat, base, at, acc.reshape(layer.height, layer.width, -1))
            return
        negative = acc < 0
        y = fixed_point.rescale(
            acc,
            np.where(negative, parameters.negative_multiplier, parameters.multiplier),
            np.where(negative, parameters.negative_shift, parameters.shift),
            zero_point=layer.zero_point, low=layer.low, high=layer.high,
        ).reshape(layer.height, layer.width, -1)  # fmt: skip
        if layer.residual is not None:
            y = self._add(layer, group, y, flat)
        if layer.pool is None:
            self._write(layer, flat, base, at, y)
        elif layer.pool.kind == "max":
            self._write(layer, flat, base, at, max_pool(layer.pool, y))
        else:
            pool = layer.pool
            sums = pool.bias + y.astype(np.int64).sum(axis=(0, 1), keepdims=True)
            if not layer.raw:
                sums = fixed_point.rescale(
                    sums, pool.multiplier, pool.shift, zero_point=pool.zero_point
                )
            self._write(layer, flat, base, at, sums)

    def _add(
        self, layer: Layer, group: int, y: NDArray[np.int8], flat: NDArray[np.int8]
    ) -> NDArray[np.int8]:
        residual, config = layer.residual, self.config
        assert residual is not None
        plane, part = divmod(residual.first_part + group, config.parts)
        row = residual.base_row + plane * residual.plane_rows
        position = (
            np.arange(layer.height)[:, None] * residual.pitch + np.arange(layer.width)[None, :]
        )
        r = flat[row * config.pixels + position]
        r = r[..., part * config.outputs : (part + 1) * config.outputs].astype(np.int64)
        total = ((y.astype(np.int64) - layer.zero_point) << residual.shift_y) + (
            (r - residual.zero_point) << residual.shift_r
        )
        rounded = fixed_point.round_half_even_shift(total, residual.shift_out)
        return fixed_point.saturate(rounded + residual.out_zero_point, residual.low, residual.high)

    def _write(
        self,
        layer: Layer,
        flat: NDArray[np.int8],
        base: int,
        at: slice,
        values: NDArray[np.integer],
    ) -> None:
        """Write (height, width, N) bytes, or int32 as four bytes of planes `raw_rows` apart."""
        target = layer.output
        height, width = values.shape[:2]
        position = (
            base * self.config.pixels
            + target.origin
            + np.arange(height)[:, None] * target.step_y
            + np.arange(width)[None, :] * target.step_x
        )
        if not layer.raw:
            flat[position, at] = values
            return
        octets = values.astype("<i4").view(np.int8).reshape(height, width, -1, 4)
        for k in range(4):
            flat[position + k * target.raw_rows * self.config.pixels, at] = octets[..., k]


def max_pool(pool: Pool, y: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the largest byte of each window of a (height, width, N) map."""
    height, width = y.shape[:2]
    bottom, right = (max(over, 0) for over in pool.overhang(height, width))
    padded = np.full(
        (height + pool.pad_top + bottom, width + pool.pad_left + right, y.shape[2]),
        BYTE_MIN,
        dtype=np.int8,
    )
    padded[pool.pad_top : pool.pad_top + height, pool.pad_left : pool.pad_left + width] = y
    best = np.full((pool.height, pool.width, y.shape[2]), BYTE_MIN, dtype=np.int8)
    for ty in range(pool.size):
        for tx in range(pool.size):
            rows = slice(ty, ty + (pool.height - 1) * pool.stride + 1, pool.stride)
            columns = slice(tx, tx + (pool.width - 1) * pool.stride + 1, pool.stride)
            best = np.maximum(best, padded[rows, columns])
    return best
