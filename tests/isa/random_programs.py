"""Random whole programs: loads, layers of every kind, stores, with no more waits than they need.

Use ``from isa.random_programs import random_program``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isa.overlay_layers import random_layer
from tf2.arch import OverlayConfig
from tf2.isa import End, Layer, Load, Store
from tf2.isa.access import access
from tf2.isa.overlap import MAX_START, least_start
from tf2.isa.program import Program

WAITS = {
    Load: {Layer: "wait_layers", Store: "wait_stores"},
    Layer: {Load: "wait_loads", Store: "wait_stores"},
    Store: {Layer: "wait_layers", Load: "wait_loads"},
}
"""Name of the wait of one kind for another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramCase:
    """A program and an arena to run it on: code, filters, random features."""

    program: Program
    arena: NDArray[np.uint8]


def random_program(
    rng: np.random.Generator,
    config: OverlayConfig,
    *,
    layers: int = 4,
    rows: int = 160,
    max_cycles: int = 250,
    **wanted: object,
) -> ProgramCase:
    """Return a program that touches rows ``0..rows`` only, and stores all of them at its end.

    Args:
        rng: Where it comes from.
        config: Of the overlay.
        layers: How many.
        rows: Of the Feature Buffer, fewer the more its layers depend on each other.
        max_cycles: Bound of the issue cycles of a layer.
        **wanted: As of `random_layer`.
    """
    rows = min(rows, config.feature_rows)
    draft = _Draft(rng, config, rows)
    draft.load(0, rows, fresh=True)
    filters = b""
    for index in range(layers):
        while rng.random() < 0.3:
            draft.transfer()
        case = random_layer(
            rng, config, rows=rows, max_cycles=max_cycles, name=f"layer{index}", **wanted
        )
        filters += case.filters
        draft.append(case.layer)
    draft.store(0, rows)
    return draft.finish(filters)


class _Draft:
    """A program being written; addresses count from the end of the filters until it is finished."""

    def __init__(self, rng: np.random.Generator, config: OverlayConfig, rows: int) -> None:
        self._rng, self._config, self._rows = rng, config, rows
        self._row_bytes = config.row_beats * config.ddr_bytes
        self._instructions: list[Load | Layer | Store] = []
        self._bytes = 0

    def transfer(self) -> None:
        """Append a load or store of some rows."""
        first = int(self._rng.integers(0, self._rows))
        count = int(self._rng.integers(1, min(12, self._rows - first) + 1))
        if self._rng.random() < 0.5:
            self.store(first, count)
        else:
            self.load(first, count, fresh=self._rng.random() < 0.5)

    def load(self, first: int, count: int, *, fresh: bool) -> None:
        stores = [i for i in self._instructions if isinstance(i, Store)]
        if fresh or not stores:
            address = self._room(count)
        else:  # what was stored before
            source = stores[int(self._rng.integers(len(stores)))]
            address, count = source.address, min(count, source.rows)
        name = f"load{len(self._instructions)}"
        self.append(Load(name=name, address=address, base_row=first, rows=count))

    def store(self, first: int, count: int) -> None:
        name = f"store{len(self._instructions)}"
        loads = [i for i in self._instructions if isinstance(i, Load) and i.rows >= count]
        over = bool(loads) and self._rng.random() < 0.3  # what was loaded before
        address = loads[-1].address if over else self._room(count)
        self.append(Store(name=name, address=address, base_row=first, rows=count))

    def _room(self, rows: int) -> int:
        start = self._bytes
        self._bytes += rows * self._row_bytes
        return start

    def append(self, instruction: Load | Layer | Store) -> None:
        """Append an instruction that waits for whatever touches the same rows or bytes."""
        waits = {}
        for kind, name in WAITS[type(instruction)].items():
            earlier = [i for i in self._instructions if isinstance(i, kind)]
            needed = [n for n, other in enumerate(earlier, 1) if self._depends(instruction, other)]
            waits[name] = max(needed, default=0)
        if isinstance(instruction, Layer):
            waits["start_after"] = self._start_after(instruction)
        self._instructions.append(replace(instruction, **waits))

    def _start_after(self, layer: Layer) -> int:
        """Return when it may begin behind the layer before: at once, a little later, at its end."""
        before = [i for i in self._instructions if isinstance(i, Layer)]
        chosen = self._rng.random()
        if not before or chosen < 0.2:
            return 0
        late = int(self._rng.integers(0, 40)) if chosen > 0.8 else 0
        start = least_start(before[-1], layer, self._config) + late
        return start if start <= MAX_START else 0

    def _depends(self, later: Load | Layer | Store, earlier: Load | Layer | Store) -> bool:
        a, b = access(later, self._config), access(earlier, self._config)
        if any(np.intersect1d(x, y).size for x, y in (
            (a.reads, b.writes), (a.writes, b.writes), (a.writes, b.reads),
        )):  # fmt: skip
            return True
        if isinstance(later, Layer) or isinstance(earlier, Layer):
            return False
        ends = (transfer.address + transfer.rows * self._row_bytes for transfer in (later, earlier))
        later_end, earlier_end = ends
        return later.address < earlier_end and earlier.address < later_end

    def finish(self, filters: bytes) -> ProgramCase:
        beat = self._config.ddr_bytes
        shorter = Program(
            config=self._config, instructions=(*self._instructions, End()), filters=filters,
            inputs=(), outputs=(), filters_address=0, arena_bytes=0,
        )  # fmt: skip
        filters_address = len(shorter.code)
        start = filters_address + -(-len(filters) // beat) * beat
        instructions = tuple(
            i if isinstance(i, Layer) else replace(i, address=i.address + start)
            for i in self._instructions
        )
        program = replace(
            shorter, instructions=(*instructions, End()), filters_address=filters_address,
            arena_bytes=start + self._bytes,
        )  # fmt: skip
        arena = program.arena()
        arena[start:] = self._rng.integers(0, 256, self._bytes)
        return ProgramCase(program=program, arena=arena)
