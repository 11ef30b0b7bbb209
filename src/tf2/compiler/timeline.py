"""When each instruction of a program begins and ends, by the cost of each and what it waits for.

Loads, layers and stores each run in order beside the other kinds. What the memory's latency and the
way of instructions add is in the constants; filters are in `geometry.layer_cycles`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tf2.arch import OverlayConfig
from tf2.compiler.geometry import layer_cycles
from tf2.isa import Instruction, Layer, Load, Store

TRANSFER_CYCLES = 60
"""Cycles of a transfer beyond its beats when nothing came before it: the memory's latency."""


def run_cycles(instructions: Sequence[Instruction], config: OverlayConfig) -> int:
    """Return the cycles from the start of a program to its end."""
    done: dict[type, list[int]] = {Load: [0], Layer: [0], Store: [0]}
    for instruction in instructions:
        if isinstance(instruction, Layer):
            begin = max(
                done[Layer][-1],
                done[Load][instruction.wait_loads],
                done[Store][instruction.wait_stores],
            )
            done[Layer].append(begin + layer_cycles(instruction, config))
        elif isinstance(instruction, Load | Store):
            kind, other = (Load, Store) if isinstance(instruction, Load) else (Store, Load)
            others = (
                instruction.wait_stores if isinstance(instruction, Load)
                else instruction.wait_loads
            )  # fmt: skip
            ready = max(done[Layer][instruction.wait_layers], done[other][others])
            # The next transfer is asked for while one is under way.
            begin = max(done[kind][-1], ready + TRANSFER_CYCLES)
            done[kind].append(begin + instruction.rows * config.row_beats)
    return max(times[-1] for times in done.values())
