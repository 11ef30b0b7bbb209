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
from tf2.isa.encoding import instruction_bytes, layer_fields
from tf2.isa.timing import START, announce_cycles, pipeline_cycles
from tf2.isa.walk import walk

TRANSFER_CYCLES = 60
"""Cycles of a transfer beyond its beats when nothing came before it: the memory's latency."""


def run_cycles(instructions: Sequence[Instruction], config: OverlayConfig) -> int:
    """Return the cycles from the start of a program to its end."""
    done: dict[type, list[int]] = {Load: [0], Layer: [0], Store: [0]}
    filters = _FilterStream(config)
    for instruction in instructions:
        if isinstance(instruction, Layer):
            ready = max(done[Load][instruction.wait_loads], done[Store][instruction.wait_stores])
            done[Layer].append(filters.run(instruction, ready))
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
        self._issued = self._written = 0  # the last word of the layer before, its last output
        self._offered = 0  # the next one has come to the head of its queue
        self._layer_beats = instruction_bytes(layer_fields(config), config) // config.ddr_bytes

    def run(self, layer: Layer, ready: int) -> int:
        """Return the cycle in which a layer ends whose loads and stores have finished."""
        interval, length = walk(layer, self._config).interval, layer.kernel.length
        behind = pipeline_cycles(layer, self._config, walk(layer, self._config).segments)
        free = self._written
        if layer.start_after:
            free = min(free, self._issued + layer.start_after - START)
        end = max(ready, free, self._offered) + START
        for block in range(layer.out_groups):
            loaded = self._load(length)
            first_end = max(end + length, loaded + 1) - 1
            end = first_end + (layer.groups - 1) * interval + interval - length + 1
            self._issued = end - (interval - length) - 1
            self._written = self._issued + behind
            if block == 0:
                passed = first_end + announce_cycles(self._config)
                self._offered = passed + self._layer_beats
            self._blocks.append(
                _Block(begin=self._words - length, last_pass=end - interval, done=self._written)
            )
        return self._written

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
