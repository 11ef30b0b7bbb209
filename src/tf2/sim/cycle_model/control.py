"""The instructions on their way to the units that execute them."""

from __future__ import annotations

from collections import deque

from tf2.isa.encoding import TRANSFER_FIELDS, instruction_bytes, layer_fields
from tf2.isa.instructions import End, Instruction, Layer, Load, Store
from tf2.isa.program import Program
from tf2.sim.cycle_model.streams import BeatQueue, StretchReader

PREFETCH_BEATS = 32
HELD_LAYERS = 8
QUEUED_TRANSFERS = 4
"""As of the `Controller`."""


class Done:
    """Instructions that have finished, counted as the `Controller` sees them."""

    def __init__(self) -> None:
        self.layers = self.loads = self.stores = 0


class Control:
    """Of `Decoder`, `LayerQueue`, `LayerStages` and `TransferQueue`.

    Attributes:
        code: Reads the program.
        done: Counts, of the cycles before this one.
        blocks: (Cycle from which it is seen, layer) for the Filter Loader.
        ended: The cycle in which `End` is known, once it is decoded.
        moves: Whether anything moved in the last cycle; what stands still waits for the outside.
        loads: (Cycle from which it is seen, load), decoded and not begun.
        stores: As loads.
    """

    def __init__(self, program: Program) -> None:
        config = program.config
        beats = config.ddr_bytes
        self.code = StretchReader(beats, depth=PREFETCH_BEATS)
        size = program.arena_bytes - program.code_address
        self.code.bursts.begin(0, program.code_address, size // beats)
        self.done = Done()
        self.blocks: deque[tuple[int, Layer]] = deque()
        self.ended: int | None = None
        self.moves = True
        self._layer_beats = instruction_bytes(layer_fields(config), config) // beats
        self._transfer_beats = instruction_bytes(TRANSFER_FIELDS, config) // beats
        self._instructions = iter(program.instructions)
        self._present: Instruction = next(self._instructions)
        self._index = 0  # beats of it that were taken
        self._pushing = False
        self._layers: deque[Layer] = deque()  # all beats of these are in the queue
        self._layer_queue = BeatQueue(HELD_LAYERS * self._layer_beats)
        self._gathered = 0  # beats of the queue's first layer behind its output
        self._under_way = False  # that layer began
        self.loads: deque[tuple[int, Load]] = deque()
        self.stores: deque[tuple[int, Store]] = deque()

    def next_layer(self) -> Layer | None:
        """Return the layer that may begin in this cycle."""
        gathered = self._gathered == self._layer_beats - 1 and self._layer_queue.out
        if not gathered or self._under_way:
            return None
        layer = self._layers[0]
        met = self.done.loads >= layer.wait_loads and self.done.stores >= layer.wait_stores
        return layer if met else None

    def next_load(self, now: int) -> Load | None:
        """Return the load that may begin in this cycle."""
        if not self.loads or self.loads[0][0] > now:
            return None
        load = self.loads[0][1]
        met = self.done.layers >= load.wait_layers and self.done.stores >= load.wait_stores
        return load if met else None

    def next_store(self, now: int) -> Store | None:
        """Return the store that may begin in this cycle."""
        if not self.stores or self.stores[0][0] > now:
            return None
        store = self.stores[0][1]
        met = self.done.layers >= store.wait_layers and self.done.loads >= store.wait_loads
        return store if met else None

    def begin_layer(self) -> None:
        """Begin the layer, which stays until it is taken in `step`."""
        self._under_way = True

    def take_load(self) -> None:
        """Take the load; after `step` of the same cycle."""
        self.moves = True
        self.loads.popleft()

    def take_store(self) -> None:
        """Take the store; after `step` of the same cycle."""
        self.moves = True
        self.stores.popleft()

    def step(self, now: int, *, arrived: bool, layer_taken: bool) -> bool:
        """Decode, with a beat of the program that arrived; return whether anything moved."""
        taken = passed = moved = False
        if self._pushing:
            moved = self._push(now)
        elif self.code.queue.out and self.ended is None:
            taken = passed = isinstance(self._present, Layer) and not self._layer_queue.full
            taken = taken or not isinstance(self._present, Layer)
            if taken:
                self._gather(now)
        moved = self.code.step(pushed=arrived, taken=taken) or moved
        self.moves = self._join(pushed=passed, layer_taken=layer_taken) or moved
        return self.moves

    def _gather(self, now: int) -> None:
        instruction = self._present
        if isinstance(instruction, End):
            self.ended = now + 1
            return
        self._index += 1
        is_layer = isinstance(instruction, Layer)
        if self._index == (self._layer_beats if is_layer else self._transfer_beats):
            self._index, self._pushing = 0, True
            if isinstance(instruction, Layer):
                self._layers.append(instruction)

    def _push(self, now: int) -> bool:
        instruction = self._present
        if isinstance(instruction, Layer):
            self.blocks.append((now + 1, instruction))
        elif isinstance(instruction, Load):
            if len(self.loads) == QUEUED_TRANSFERS:
                return False
            self.loads.append((now + 1, instruction))
        elif isinstance(instruction, Store):
            if len(self.stores) == QUEUED_TRANSFERS:
                return False
            self.stores.append((now + 1, instruction))
        self._present = next(self._instructions)
        self._pushing = False
        return True

    def _join(self, *, pushed: bool, layer_taken: bool) -> bool:
        """End the layer queue's cycle."""
        gathers = self._layer_queue.out and self._gathered < self._layer_beats - 1
        if gathers:
            self._gathered += 1
        if layer_taken:
            self._gathered, self._under_way = 0, False
            self._layers.popleft()
        return self._layer_queue.step(pushed=pushed, taken=gathers or layer_taken)
