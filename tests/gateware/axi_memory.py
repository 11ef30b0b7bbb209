"""A memory behind AXI4, in Python, with random stalls: a bench for Amaranth's simulator."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

BORDER = 4096


@dataclass
class AxiMemory:
    """Serves the read or the write channels, or both, of a port; in order.

    Attributes:
        memory: Bytes, from `base` on; those outside are answered by an error.
        base: Byte address of the first.
        latency: Cycles from an address to its first beat, from a last beat to its response.
        stall: Share of the cycles in which each channel is held up.
        seed: Of the stalls.
        bad_beats: Byte offsets of beats answered by an error.
        silent: Answers nothing.
        bursts: (address, beats) of all bursts seen.
    """

    memory: NDArray[np.uint8]
    base: int = 0
    latency: int = 1
    stall: float = 0.0
    seed: int = 0
    bad_beats: set[int] = field(default_factory=set)
    silent: bool = False
    bursts: list[tuple[int, int]] = field(default_factory=list)

    def _goes(self, random: Random) -> bool:
        return not self.silent and random.random() >= self.stall

    def _burst(self, address: int, length: int, size: int) -> None:
        beats = length + 1
        self.bursts.append((address, beats))
        assert address % (1 << size) == 0, "a burst that is not aligned to the beat"
        end = address + (beats << size) - 1
        assert address // BORDER == end // BORDER, "a burst crosses 4 KiB"

    def _bad(self, address: int, width: int) -> bool:
        offset = address - self.base
        return offset in self.bad_beats or not 0 <= offset <= self.memory.size - width

    def reads(self, port: Any) -> Any:
        """Return a background bench that serves the read channels of `port`."""

        async def bench(ctx: Any) -> None:
            random = Random(self.seed)
            width = len(port.rdata) // 8
            queue: deque[tuple[int, int, bool]] = deque()  # (ready at, address, last)
            cycle, held = 0, None
            while True:
                ready = self._goes(random)
                ctx.set(port.arready, ready)
                if held is None and queue and queue[0][0] <= cycle and self._goes(random):
                    held = queue.popleft()
                ctx.set(port.rvalid, held is not None)
                if held is not None:
                    _, address, last = held
                    bad = self._bad(address, width)
                    start = address - self.base
                    word = b"" if bad else self.memory[start : start + width].tobytes()
                    ctx.set(port.rdata, int.from_bytes(word, "little"))
                    ctx.set(port.rresp, 2 * bad)
                    ctx.set(port.rlast, last)
                taken = held is not None and ctx.get(port.rready)
                if ready and ctx.get(port.arvalid):
                    address, length = ctx.get(port.araddr), ctx.get(port.arlen)
                    self._burst(address, length, ctx.get(port.arsize))
                    queue.extend(
                        (cycle + self.latency, address + k * width, k == length)
                        for k in range(length + 1)
                    )
                await ctx.tick()
                cycle += 1
                held = None if taken else held

        return bench

    def writes(self, port: Any) -> Any:
        """Return a background bench that serves the write channels of `port`."""

        async def bench(ctx: Any) -> None:
            random = Random(self.seed + 1)
            width = len(port.wdata) // 8
            bursts: deque[tuple[int, int]] = deque()
            beats: deque[tuple[int, int, int]] = deque()
            answers: deque[tuple[int, bool]] = deque()
            cycle, count, bad, held = 0, 0, False, None
            while True:
                aw_ready, w_ready = self._goes(random), self._goes(random)
                ctx.set(port.awready, aw_ready)
                ctx.set(port.wready, w_ready)
                if held is None and answers and answers[0][0] <= cycle and self._goes(random):
                    held = answers.popleft()
                ctx.set(port.bvalid, held is not None)
                ctx.set(port.bresp, 2 if held and held[1] else 0)
                taken = held is not None and ctx.get(port.bready)
                if aw_ready and ctx.get(port.awvalid):
                    address, length = ctx.get(port.awaddr), ctx.get(port.awlen)
                    self._burst(address, length, ctx.get(port.awsize))
                    bursts.append((address, length))
                if w_ready and ctx.get(port.wvalid):
                    beats.append((ctx.get(port.wdata), ctx.get(port.wstrb), ctx.get(port.wlast)))
                while bursts and beats:
                    (address, length), (word, strobes, last) = bursts[0], beats.popleft()
                    assert last == (count == length), "wlast is not with the last beat"
                    bad |= self._write(address + count * width, word, strobes, width)
                    count += 1
                    if last:
                        answers.append((cycle + self.latency, bad))
                        bursts.popleft()
                        count, bad = 0, False
                await ctx.tick()
                cycle += 1
                held = None if taken else held

        return bench

    def _write(self, address: int, word: int, strobes: int, width: int) -> bool:
        """Write the bytes that the strobes name; return whether the beat is bad."""
        if self._bad(address, width):
            return True
        start = address - self.base
        for k, byte in enumerate(word.to_bytes(width, "little")):
            if strobes >> k & 1:
                self.memory[start + k] = byte
        return False
