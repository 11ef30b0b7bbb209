"""The pitch of every storage: the one that wastes the fewest cycles of those that read and write.

A layer of stride 1 wants a raster as wide as its map, one of stride 2 a pitch that suits half the
width, a pooling that hangs over one column more, an addition the same pitch in both operands. A
pitch other than the raster's costs the writer cycles only where a group takes few of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tf2.arch import OverlayConfig
from tf2.compiler.facts import Facts
from tf2.compiler.geometry import Grid, Region, build_layer, conv_rows, layer_cycles
from tf2.compiler.ops import Conv
from tf2.compiler.slots import Place, Storage
from tf2.errors import CompileError, ProgramError

IMPOSSIBLE = 1 << 60
"""Cost of a layer that no raster suits."""

SWEEPS = 3
"""How often all storages are looked at again."""


class Pitches:
    """Chooses pitches by descent over the cost of layers.

    Args:
        convs: In order.
        facts: Of each, by name.
        places: Of maps.
        storages: By name.
        config: The overlay.
        fixed: Pitches that are given.
    """

    def __init__(
        self,
        convs: Sequence[Conv],
        facts: Mapping[str, Facts],
        places: Mapping[str, Place],
        storages: Mapping[str, Storage],
        config: OverlayConfig,
        fixed: Mapping[str, int],
    ) -> None:
        self._convs, self._facts, self._places = convs, facts, places
        self._storages, self._config, self._fixed = storages, config, fixed
        self._costs: dict[tuple[str, int, int, int], int] = {}
        self._touching: dict[str, list[Conv]] = {name: [] for name in storages}
        for conv in convs:
            for name in {places[v].storage for v in (*conv.reads, conv.target)}:
                self._touching[name].append(conv)

    def choose(self) -> dict[str, int]:
        """Return a pitch for each storage.

        Raises:
            CompileError: A layer fits no pitch.
        """
        p = self._config.pixels
        pitch = {
            name: self._fixed.get(name, storage.size[2]) for name, storage in self._storages.items()
        }
        for name, storage in self._storages.items():
            if name not in self._fixed and self._cost((name,), pitch) >= IMPOSSIBLE:
                pitch[name] = -(-storage.size[2] // p) * p
        for _ in range(SWEEPS):
            changed = False
            for names in self._moves():
                changed |= self._improve(names, pitch)
            if not changed:
                break
        for conv in self._convs:
            if self._conv_cost(conv, pitch) >= IMPOSSIBLE:
                raise CompileError(
                    f"layer {conv.name!r}: no pitch of its maps suits strides {conv.strides} and "
                    f"{p} banks: use an overlay with another number of pixels"
                )
        return pitch

    def total(self, pitch: Mapping[str, int]) -> int:
        """Return the cycles of all layers."""
        return sum(self._conv_cost(conv, pitch) for conv in self._convs)

    def _moves(self) -> list[tuple[str, ...]]:
        """Return the storages to change together: each alone, and those that additions bind."""
        free = [name for name in self._storages if name not in self._fixed]
        bound: dict[str, set[str]] = {name: {name} for name in free}
        for conv in self._convs:
            if conv.add is None:
                continue
            names = [self._places[v].storage for v in (conv.add.operand, conv.target, conv.source)]
            names = [n for n in names if n in bound]
            names = [n for n in names if self._storages[n].size == self._storages[names[0]].size]
            together = set().union(*(bound[n] for n in names)) if names else set()
            for name in together:
                bound[name] = together
        groups = {tuple(sorted(group)) for group in bound.values() if len(group) > 1}
        return [(name,) for name in free] + sorted(groups)

    def _improve(self, names: tuple[str, ...], pitch: dict[str, int]) -> bool:
        best, best_cost = None, self._cost(names, pitch)
        width = self._storages[names[0]].size[2]
        for candidate in range(width, width + self._config.pixels):
            trial = {**pitch, **dict.fromkeys(names, candidate)}
            cost = self._cost(names, trial)
            if cost < best_cost:
                best, best_cost = candidate, cost
        if best is None:
            return False
        pitch.update(dict.fromkeys(names, best))
        return True

    def _cost(self, names: tuple[str, ...], pitch: Mapping[str, int]) -> int:
        convs = {conv.name: conv for name in names for conv in self._touching[name]}
        return sum(self._conv_cost(conv, pitch) for conv in convs.values())

    def _conv_cost(self, conv: Conv, pitch: Mapping[str, int]) -> int:
        key = (
            conv.name,
            pitch[self._places[conv.source].storage],
            pitch[self._places[conv.add.operand].storage] if conv.add else 0,
            pitch[self._places[conv.target].storage],
        )
        if key not in self._costs:
            self._costs[key] = self._evaluated(conv, *key[1:])
        return self._costs[key]

    def _evaluated(self, conv: Conv, source: int, added: int, target: int) -> int:
        facts = self._facts[conv.name]
        try:
            layer = build_layer(
                conv,
                self._config,
                Region(slice=0, begin=0, end=conv_rows(conv)),
                source_size=facts.source.size,
                zero_point=facts.source.zero_point,
                cover=facts.cover,
                terms=facts.terms,
                source=Grid(base_row=0, plane_rows=1, pitch=source, height=facts.source.size[1]),
                target=Grid(base_row=0, plane_rows=1, pitch=target, height=1),
                first_part=0,
                added=Grid(base_row=0, plane_rows=1, pitch=added, height=1) if added else None,
                added_part=0,
                out_groups=facts.out_groups,
            )
            return layer_cycles(layer, self._config)
        except (CompileError, ProgramError):
            return IMPOSSIBLE
