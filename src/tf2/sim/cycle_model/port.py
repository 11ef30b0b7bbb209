"""Port B of the Feature Buffer: when layers leave it to loads and stores."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

from tf2.arch import OverlayConfig
from tf2.isa.instructions import Layer
from tf2.isa.walk import output_positions, walk

RESIDUAL_DEPTH = 8
"""Groups of a residual read ahead."""

POP_AFTER = 7
"""From the last positions of a group being taken to its residual being used."""


class Port:
    """When `FeatureWriter` and `ResidualReader` have the port, of the last two layers.

    Blocks of a layer are added as they become known: always before any of their outputs is written,
    and before its residual is read.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self._layers: deque[_LayerOnPort] = deque(maxlen=2)

    def begin(self, layer: Layer, to_written: int, to_sums: int) -> None:
        """Follow a layer that begins.

        Args:
            layer: Of it.
            to_written: Cycles from a group's last issue being decided to its last write.
            to_sums: Cycles from there to its sums.
        """
        self._layers.append(_LayerOnPort(layer, self._config, to_written, to_sums))

    def add_block(self, first_end: int) -> None:
        """Note the cycle of the last issue of the first group of the last layer's next block."""
        self._layers[-1].add_block(first_end)

    def busy(self, now: int) -> bool:
        """Return whether the layers have the port in a cycle; cycles are asked for in order."""
        return any(layer.busy(now) for layer in self._layers)


class _LayerOnPort:
    """When one layer has the port."""

    def __init__(self, layer: Layer, config: OverlayConfig, to_written: int, to_sums: int) -> None:
        self._layer, self._config = layer, config
        self._blocks: list[int] = []  # end of the first group of each
        w = walk(layer, config)
        self._interval = w.interval
        self._summed = layer.pool is not None and layer.pool.kind == "sum"
        if self._summed:
            self._write_cycles = 4 if layer.raw else 1
        else:
            self._write_cycles = w.write_cycles
            if layer.raw:
                longest = max(w.segments, config.post_beats)
                self._write_cycles = 3 * longest + w.segments
        self._to_write = to_written - self._write_cycles + 1
        self._to_sums = to_sums
        self._to_pop = to_sums + config.post_beats - 1 + POP_AFTER
        # The Residual Reader, up to (not with) cycle `_time`:
        self._time = 0
        self._unread = layer.out_groups * layer.groups if layer.residual else 0
        self._asked = self._popped = 0
        self._request = False

    def add_block(self, first_end: int) -> None:
        """Note the cycle of the last issue of a block's first group."""
        if not self._blocks:
            self._time = first_end + self._to_sums + 1
        self._blocks.append(first_end)

    def busy(self, now: int) -> bool:
        """Return whether the layer has the port in a cycle."""
        if not self._blocks:
            return False
        if self._writes(now):
            return True
        if self._layer.residual is None:
            return False
        self._follow_residual(now)
        return self._request

    def _writes(self, now: int) -> bool:
        layer = self._layer
        index = len(self._blocks) - 1
        while index >= 0 and self._first_write(index) > now:
            index -= 1
        if index < 0:
            return False
        since = now - self._first_write(index)
        if self._summed:
            return since < self._write_cycles
        group, cycle = divmod(since, self._interval)
        if group >= layer.groups or cycle >= self._write_cycles:
            return False
        return written_cycles(layer, self._config)[group][cycle]

    def _first_write(self, block: int) -> int:
        end = self._blocks[block]
        if self._summed:
            end += (self._layer.groups - 1) * self._interval
        return end + self._to_write

    def _follow_residual(self, now: int) -> None:
        """Let the Residual Reader run up to the state that it has in a cycle."""
        while self._time < now:
            writes = self._writes(self._time)
            ahead = self._asked - self._popped
            steps = (
                self._asked < self._unread
                and ahead != RESIDUAL_DEPTH
                and (not self._request or not writes)
            )
            if steps:
                self._request = True
                self._asked += 1
            elif not writes:
                self._request = False
            pop = self._next_pop()
            if pop is not None and pop == self._time:
                self._popped += 1
            quiet = not self._request and (ahead == RESIDUAL_DEPTH or self._asked == self._unread)
            self._time += 1
            if quiet and (pop is None or pop > self._time):
                self._time = now if pop is None else min(now, pop)

    def _next_pop(self) -> int | None:
        """Return the cycle in which the next group of the residual is used, if known."""
        block, group = divmod(self._popped, self._layer.groups)
        if block >= len(self._blocks):
            return None
        return self._blocks[block] + group * self._interval + self._to_pop


@lru_cache(maxsize=64)
def written_cycles(layer: Layer, config: OverlayConfig) -> tuple[tuple[bool, ...], ...]:
    """Return, for each group, in which cycles from its first write on anything is written."""
    emits, _, y = output_positions(layer, config)
    segments = walk(layer, config).segments
    row = y - y[:, :1]
    one_beat = [
        (emits if segments == 1 else emits & (row == segment)).any(axis=1)
        for segment in range(segments)
    ]
    longest = max(segments, config.post_beats)
    gap = [one_beat[0] & False] * (longest - segments)
    beats = (one_beat + gap) * 3 + one_beat if layer.raw else one_beat
    return tuple(zip(*(column.tolist() for column in beats), strict=True))
