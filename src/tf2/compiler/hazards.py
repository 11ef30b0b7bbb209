"""What must wait for what: counts of finished loads, layers and stores, cycles between layers.

Each kind of instruction runs in order on a unit of its own. An instruction waits for the last one
of each other kind that writes what it reads or writes, or reads what it writes. A layer begins
while the one before it drains, as soon as it disturbs nothing there (`isa.overlap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tf2.arch import OverlayConfig
from tf2.isa import End, Instruction, Layer, Load, Store
from tf2.isa.overlap import MAX_START, late_start, least_start

Rows = tuple[int, int]
"""First row, or byte of DDR, and the one after the last."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An instruction without its waits, and the memory it touches.

    Attributes:
        instruction: Load, Layer or Store.
        reads: Rows of the Feature Buffer.
        writes: As reads.
        ddr: Bytes of DDR that are read (Load) or written (Store).
        layer: Name of the layer that it belongs to.
    """

    instruction: Load | Layer | Store
    reads: tuple[Rows, ...] = ()
    writes: tuple[Rows, ...] = ()
    ddr: Rows = field(default=(0, 0))
    layer: str = ""


def with_waits(drafts: Sequence[Draft]) -> tuple[Instruction, ...]:
    """Return the instructions, waiting for what they depend on, and `End`."""
    done: dict[type, list[Draft]] = {Load: [], Layer: [], Store: []}
    reached: dict[tuple[type, type], int] = {}  # an earlier one of the kind has waited so long
    instructions: list[Instruction] = []
    for draft in drafts:
        kind = type(draft.instruction)
        waits = {}
        for name, other in (("loads", Load), ("layers", Layer), ("stores", Store)):
            if other is not kind:
                before = reached.get((kind, other), 0)
                reached[kind, other] = _last_conflict(draft, done[other], before)
                waits[f"wait_{name}"] = reached[kind, other]
        instructions.append(replace(draft.instruction, **waits))
        done[kind].append(draft)
    return (*instructions, End())


def with_starts(
    instructions: Sequence[Instruction], config: OverlayConfig
) -> tuple[Instruction, ...]:
    """Return a program's instructions, each layer beginning as soon as it may behind another."""
    started: list[Instruction] = []
    before: Layer | None = None
    for instruction in instructions:
        if isinstance(instruction, Layer):
            layer = replace(instruction, start_after=0)
            if before is not None:
                layer = replace(layer, start_after=_start(before, layer, config))
            before = instruction = layer
        started.append(instruction)
    return tuple(started)


def _start(before: Layer, layer: Layer, config: OverlayConfig) -> int:
    start = least_start(before, layer, config)
    return start if start <= min(MAX_START, late_start(before, config)) else 0


def _last_conflict(draft: Draft, others: Sequence[Draft], before: int) -> int:
    """Return the number of the last of the others that it must wait for, at least `before`."""
    for number in range(len(others), before, -1):
        other = others[number - 1]
        if (
            _overlap(draft.reads, other.writes)
            or _overlap(draft.writes, other.writes)
            or _overlap(draft.writes, other.reads)
            or _overlap((draft.ddr,), (other.ddr,))
        ):
            return number
    return before


def _overlap(some: Sequence[Rows], others: Sequence[Rows]) -> bool:
    return any(a[0] < b[1] and b[0] < a[1] for a in some for b in others)
