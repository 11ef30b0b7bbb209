"""When each instruction of a program begins and ends, by the cost of each and what it waits for.

Loads, layers and stores each run in order beside the other kinds. Filters come in one stream, as
far ahead as the Filter Cache and the slots of parameters have room; a block that has not come holds
its layer up. What the memory's latency adds is in the constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tf2.arch import OverlayConfig
from tf2.isa import Instruction, Layer, Load, Store
from tf2.isa.timing import START, issue_cycles, layer_cycles
from tf2.isa.walk import walk

TRANSFER_CYCLES = 60
"""Cycles of a transfer beyond its beats when nothing came before it: the memory's latency."""


def run_cycles(instructions: Sequence[Instruction], config: OverlayConfig) -> int:
    """Return the cycles from the start of a program to its end."""
    done: dict[type, list[int]] = {Load: [0], Layer: [0], Store: [0]}
    filters = _FilterStream(config)
    for instruction in instructions:
        if isinstance(instruction, Layer):
            begin = max(
                done[Layer][-1],
                done[Load][instruction.wait_loads],
                done[Store][instruction.wait_stores],
            )
            done[Layer].append(filters.run(instruction, begin))
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


@dataclass
class _Block:
    """Filters of one group of outputs.

    Attributes:
        begin: Number of its first filter word in the stream.
        last_pass: Cycle in which the last group of positions begins, that frees its words.
        done: Cycle in which its results are written, which frees its parameters.
    """

    begin: int
    last_pass: int
    done: int


class _FilterStream:
    """Follows the filter stream and the layers that take it, block by block."""

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self._loaded = TRANSFER_CYCLES
        self._words = 0
        self._blocks: list[_Block] = []
        self._freeing = 0

    def run(self, layer: Layer, begin: int) -> int:
        """Return the cycle in which a layer ends that is taken in the cycle `begin`."""
        interval, length = walk(layer, self._config).interval, layer.kernel.length
        behind = layer_cycles(layer, self._config) - START - issue_cycles(layer, self._config)
        end = begin + START
        for _ in range(layer.out_groups):
            loaded = self._load(length)
            end = max(end + layer.groups * interval, loaded + 1 + layer.groups * interval - length)
            block = _Block(begin=self._words - length, last_pass=end - interval, done=end + behind)
            self._blocks.append(block)
        return end + behind

    def _load(self, length: int) -> int:
        """Return the cycle in which the next block's last word has come."""
        config, blocks, first = self._config, self._blocks, self._words
        if len(blocks) >= config.parameter_slots:
            self._loaded = max(self._loaded, blocks[-config.parameter_slots].done)
        self._loaded += self._cycles(config.parameter_words)
        self._words += length
        # There must be room for the first one, then for the last.
        room = self._freed(min(first, first + 1 - config.filter_words))
        self._loaded = max(self._loaded, room) + self._cycles(length)
        self._loaded = max(self._loaded, self._freed(min(first, self._words - config.filter_words)))
        return self._loaded

    def _cycles(self, words: int) -> int:
        """Return the cycles in which so many words come, one a cycle at most."""
        return max(words, -(-words * self._config.filter_word_bytes // self._config.ddr_bytes))

    def _freed(self, words: int) -> int:
        """Return the cycle in which so many words of the stream are needed no more."""
        if words <= 0:
            return 0
        while (
            self._freeing + 1 < len(self._blocks) and self._blocks[self._freeing + 1].begin < words
        ):
            self._freeing += 1
        block = self._blocks[self._freeing]
        return block.last_pass + words - block.begin
