"""Fetches the program, and lets each instruction go when what it waits for has finished."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS
from tf2.gateware.decoder import BLOCKS, Decoder
from tf2.gateware.layer_queue import HELD_LAYERS, LayerQueue
from tf2.gateware.signatures import TRANSFER, DdrRead, layer_layout
from tf2.gateware.stretch_reader import StretchReader
from tf2.gateware.transfer_queue import TransferQueue

PREFETCH_BEATS = 32
"""Beats of the program read ahead of decoding."""

QUEUED_TRANSFERS = 4
"""Loads, and stores, decoded ahead."""


class Controller(wiring.Component):
    """Decode instructions in order into a queue a kind; run each when its waits are met.

    Begins when its reset ends. Decodes ahead as far as the queues have room: 8 layers (the next one
    as a whole), 4 loads, 4 stores. An instruction must wait only for instructions before it in the
    program, else the queues may lock each other.

    Members: code_address, arena_bytes In(40): stable; ddr Out(DdrRead); layers
    Out(stream(layer_layout)); blocks Out(stream(BLOCKS)): of each layer when it is decoded; loads,
    stores Out(stream(TRANSFER)); layer_done, load_done, store_done In: strobes; finished Out: `End`
    is decoded and all before it done; bad_opcode Out; code_ended Out: the arena ends before the
    program does.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "code_address": In(ADDRESS_BITS),
            "arena_bytes": In(ADDRESS_BITS),
            "ddr": Out(DdrRead(config)),
            "layers": Out(stream.Signature(layer_layout(config))),
            "blocks": Out(stream.Signature(BLOCKS)),
            "loads": Out(stream.Signature(TRANSFER)),
            "stores": Out(stream.Signature(TRANSFER)),
            "layer_done": In(1),
            "load_done": In(1),
            "store_done": In(1),
            "finished": Out(1),
            "bad_opcode": Out(1),
            "code_ended": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.code = code = StretchReader(self._config, depth=PREFETCH_BEATS)
        m.submodules.decoder = decoder = Decoder(self._config)
        m.submodules.layer_queue = layers = LayerQueue(self._config)
        m.submodules.load_queue = loads = TransferQueue(depth=QUEUED_TRANSFERS)
        m.submodules.store_queue = stores = TransferQueue(depth=QUEUED_TRANSFERS)
        # More than there can be layers that have not run: it never holds up decoding.
        m.submodules.blocks = blocks = SyncFIFO(width=BLOCKS.size, depth=2 * HELD_LAYERS)
        connect(m, code.ddr, flipped(self.ddr))
        connect(m, code.beats, decoder.beats)
        connect(m, decoder.layer_beats, layers.beats)
        connect(m, decoder.loads, loads.pushed)
        connect(m, decoder.stores, stores.pushed)
        connect(m, layers.layers, flipped(self.layers))
        connect(m, loads.ready_to_run, flipped(self.loads))
        connect(m, stores.ready_to_run, flipped(self.stores))
        m.d.comb += [
            blocks.w_data.eq(decoder.blocks.payload),
            blocks.w_en.eq(decoder.blocks.valid),
            decoder.blocks.ready.eq(blocks.w_rdy),
            self.blocks.payload.eq(blocks.r_data),
            self.blocks.valid.eq(blocks.r_rdy),
            blocks.r_en.eq(self.blocks.ready),
        ]
        self._fetch(m, code, decoder)

        layers_done, layers_left = self._count(m, "layers", decoder.layer_decoded, self.layer_done)
        loads_done, loads_left = self._count(m, "loads", decoder.load_decoded, self.load_done)
        stores_done, stores_left = self._count(m, "stores", decoder.store_decoded, self.store_done)
        m.d.comb += [
            layers.loads_done.eq(loads_done),
            layers.stores_done.eq(stores_done),
            loads.layers_done.eq(layers_done),
            loads.other_done.eq(stores_done),
            stores.layers_done.eq(layers_done),
            stores.other_done.eq(loads_done),
            self.bad_opcode.eq(decoder.bad_opcode),
            self.finished.eq(decoder.ended & ~(layers_left | loads_left | stores_left).any()),
        ]
        return m

    def _fetch(self, m: Module, code: StretchReader, decoder: Decoder) -> None:
        """Ask, once, for everything from the program's first beat to the arena's end."""
        started = Signal()
        beat_bits = (self._config.ddr_bytes - 1).bit_length()
        size = Signal(ADDRESS_BITS)
        m.d.comb += [
            size.eq(self.arena_bytes - self.code_address),
            code.stretch.valid.eq(~started),
            code.stretch.payload.address.eq(self.code_address),
            code.stretch.payload.beats.eq(size[beat_bits:]),
            self.code_ended.eq(started & code.idle & decoder.wants_beats),
        ]
        m.d.sync += started.eq(1)  # the first stretch is taken at once

    @staticmethod
    def _count(m: Module, kind: str, decoded: Any, done: Any) -> tuple[Signal, Signal]:
        """Return (finished ones, those decoded and not finished)."""
        finished, left = Signal(16, name=f"{kind}_done"), Signal(16, name=f"{kind}_left")
        m.d.sync += [finished.eq(finished + done), left.eq(left + decoded - done)]
        return finished, left
