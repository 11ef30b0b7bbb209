"""Nodes of one segment -> layers of the array: every operator as convolutions and what is fused.

A fully connected layer is a convolution whose kernel is the map. A window average is a convolution
with weights of one. A maximum over more than three positions is a chain of smaller ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tf2.compiler.identity import identity, window_sums
from tf2.compiler.ops import (
    AddPart,
    ArrayGraph,
    Axes,
    Chosen,
    Conv,
    Joined,
    MapType,
    MaxPart,
    SumPart,
)
from tf2.compiler.partition import PADDING, Views, base_of, map_type
from tf2.ir import Graph, Node
from tf2.ir.integer_ops import window
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN

MAX_WINDOW = 3
"""Positions an axis that one max pooling takes."""


def legalize(
    graph: Graph,
    nodes: Sequence[Node],
    views: Views,
    *,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> ArrayGraph:
    """Return the layers of a segment, one or a few a node, nothing fused yet."""
    builder = _Builder(graph, views, inputs)
    for node in nodes:
        builder.add(node)
    return ArrayGraph(
        inputs=inputs,
        outputs=outputs,
        maps=builder.maps,
        convs=tuple(builder.convs),
        joined=tuple(builder.joined),
        chosen=tuple(builder.chosen.values()),
    )


class _Builder:
    def __init__(self, graph: Graph, views: Views, inputs: tuple[str, ...]) -> None:
        self.graph, self.views = graph, views
        self.maps: dict[str, MapType] = {name: self._kind(name) for name in inputs}
        self.convs: list[Conv] = []
        self.joined: list[Joined] = []
        self.chosen: dict[str, Chosen] = {}

    def add(self, node: Node) -> None:
        self.maps[node.output] = self._kind(node.output)
        match node.op:
            case "Conv":
                self._conv(node)
            case "Add":
                self._add(node)
            case "AveragePool":
                self._average(node)
            case "MaxPool":
                self._max_pool(node)
            case "Concat":
                parts = tuple(self._read(name) for name in node.inputs)
                self.joined.append(Joined(target=node.output, parts=parts))

    def _kind(self, value: str) -> MapType:
        kind = map_type(self.graph, value)
        assert kind is not None  # partition lets only maps through
        return kind

    def _read(self, value: str) -> str:
        """Return the name of a map to read; views get to know their base."""
        if value in self.maps:
            return value
        found = self.views.as_map(value)
        self.maps[value] = self._kind(value)
        if found is not None:
            base, channels = found
            self.chosen[value] = Chosen(target=value, source=base, channels=channels)
            return value
        self._copy(value)
        return value

    def _copy(self, value: str) -> None:
        """Add the layer that makes a map with steps, crops or padding."""
        copied = self.views.as_copy(value)
        assert copied is not None  # or partition had put it on the host
        kind, base = self.maps[value], self.maps[copied.base]
        weight = np.zeros((kind.channels, base.channels, 1, 1, 1), dtype=np.int8)
        shown = [(o, c) for o, c in enumerate(copied.channels) if c != PADDING]
        weight[tuple(np.array(shown).T)] = 1
        z, y, x = copied.begins
        plain = identity(value, copied.base, value, kind)
        self.convs.append(
            replace(
                plain, weight=weight, groups=1, strides=copied.strides, pads=(-z, -y, -x),
                size=kind.size,
            )
        )  # fmt: skip

    def _new(self, name: str, kind: MapType) -> str:
        self.maps[name] = kind
        return name

    def _conv(self, node: Node) -> None:
        weight, bias, *rest = (self.graph.constants[name] for name in node.inputs[1:])
        raw = not rest
        zeros = np.zeros(len(bias), dtype=np.int64)
        m, s = (zeros, zeros) if raw else rest[:2]
        m2, s2 = rest[2:] if len(rest) > 2 else (m, s)
        value = node.inputs[0]
        is_flat = weight.ndim == 2 and self.views.as_map(value) is None
        if is_flat and base_of(self.graph, node, value, self.views) != value:
            value, weight = self._flat(value, weight)
            shape = weight.shape[2:]
            strides = pads = dilations = None
        else:
            self._read(value)
            shape = weight.shape[2:]
            rank = len(shape)
            strides = node.attr("strides", (1,) * rank)
            pads = node.attr("pads", (0,) * 2 * rank)[:rank]
            dilations = node.attr("dilations", (1,) * rank)
        target = self.maps[node.output]
        self.convs.append(
            Conv(
                name=node.name, source=value, target=node.output,
                weight=weight.reshape(*weight.shape[:2], *_axes(shape)),
                groups=int(node.attr("group", 1)),
                factors=tuple(a.astype(np.int64) for a in (bias, m, s, m2, s2)),
                strides=_axes(strides or ()), pads=_axes(pads or (), 0),
                dilations=_axes(dilations or ()), size=target.size, zero_point=target.zero_point,
                low=int(node.attr("low", BYTE_MIN)), high=int(node.attr("high", BYTE_MAX)),
                raw=raw, nodes=(node.name,),
                macs=weight[0].size * len(weight) * int(np.prod(target.size)),
            )
        )  # fmt: skip

    def _flat(self, value: str, weight: np.ndarray) -> tuple[str, np.ndarray]:
        """Return the map behind a flattened value, and the weights as a kernel of its size."""
        view = self.views.of(value)
        assert view is not None
        kind = self.maps[view.base]
        kernel = np.zeros((len(weight), int(np.prod(kind.shape))), dtype=np.int8)
        index = view.index.reshape(-1)
        shown = index != PADDING
        kernel[:, index[shown]] = weight.reshape(len(weight), -1)[:, shown]
        return view.base, kernel.reshape(len(weight), *kind.shape)

    def _add(self, node: Node) -> None:
        a, b = (self._read(name) for name in node.inputs)
        made = {conv.target: i for i, conv in enumerate(self.convs)}
        if made.get(a, -1) < made.get(b, -1):  # the later one takes the other in
            a, b = b, a
        ka, kb, out = self.maps[a], self.maps[b], self.maps[node.output]
        finest = max(ka.frac_bits, kb.frac_bits, out.frac_bits)
        part = AddPart(
            operand=b,
            shift_y=finest - ka.frac_bits,
            shift_r=finest - kb.frac_bits,
            shift_out=finest - out.frac_bits,
            zero_point=kb.zero_point,
            out_zero_point=out.zero_point,
            low=int(node.attr("low", BYTE_MIN)),
            high=int(node.attr("high", BYTE_MAX)),
        )
        copy = identity(node.name, a, node.output, ka)
        self.convs.append(replace(copy, add=part, nodes=(node.name,)))

    def _average(self, node: Node) -> None:
        value = self._read(node.inputs[0])
        kind, out = self.maps[value], self.maps[node.output]
        walk = window(self.graph, node)
        factors = (int(node.attr("multiplier", 0)), int(node.attr("shift", 0)))
        whole = out.size == (1, 1, 1) and all(
            kernel - begin >= n
            for kernel, begin, n in zip(
                walk.kernel, walk.pads_begin, self.graph.shape(node.inputs[0])[2:], strict=True
            )
        )
        if whole and kind.size[0] == 1:
            count = int(np.prod(kind.size))
            part = SumPart(
                bias=-kind.zero_point * count, multiplier=factors[0], shift=factors[1],
                zero_point=out.zero_point,
            )  # fmt: skip
            copy = identity(node.name, value, node.output, kind)
            self.convs.append(replace(copy, pool=part, raw=out.sums, nodes=(node.name,)))
            return
        self.convs.append(
            window_sums(
                node.name, value, node.output, kind, kernel=_axes(walk.kernel),
                strides=_axes(walk.strides), pads=_axes(walk.pads_begin, 0), size=out.size,
                multiplier=factors[0], shift=factors[1], zero_point=out.zero_point, raw=out.sums,
                nodes=(node.name,),
            )
        )  # fmt: skip

    def _max_pool(self, node: Node) -> None:
        value = self._read(node.inputs[0])
        kind, out = self.maps[value], self.maps[node.output]
        walk = window(self.graph, node)
        kernel, strides = _axes(walk.kernel), _axes(walk.strides)
        pads = _axes(walk.pads_begin, 0)
        lines = [n > 1 or o > 1 for n, o in zip(kind.size, out.size, strict=True)]
        axis = 2 if lines[2] else 1  # square, or along one axis only
        size, stride = kernel[axis], strides[axis]
        # Along an axis of one position every window sees that position.
        pads = tuple(p if line else None for p, line in zip(pads, lines, strict=True))
        step = 0
        while size > MAX_WINDOW:
            # Windows of 3 at stride 1 first; where they reach beyond the map by two rows before
            # it, nothing that later windows see is missing.
            first = tuple(None if p is None else min(p, MAX_WINDOW - 1) for p in pads)
            rest = size - (MAX_WINDOW - 1)
            grown = tuple(
                n if p is None or a is None else min(n + a, (o - 1) * stride - (p - a) + rest)
                for n, p, a, o in zip(kind.size, pads, first, out.size, strict=True)
            )
            grown = (kind.size[0], grown[1], grown[2])
            between = replace(kind, size=grown)
            target = self._new(f"{node.output}.max{step}", between)
            self._pool_layer(node, f"{node.name}.{step}", value, target, MAX_WINDOW, 1, first)
            pads = tuple(
                None if p is None or a is None else p - a for p, a in zip(pads, first, strict=True)
            )
            value, kind, size, step = target, between, rest, step + 1
        if stride <= 2:
            self._pool_layer(node, node.name, value, node.output, size, stride, pads)
            return
        dense = tuple((o - 1) * stride + 1 for o in out.size[1:])
        target = self._new(f"{node.output}.max{step}", replace(out, size=(out.size[0], *dense)))
        self._pool_layer(node, f"{node.name}.{step}", value, target, size, 1, pads)
        copy = identity(
            node.name, target, node.output, self.maps[target], strides=(1, stride, stride)
        )
        self.convs.append(replace(copy, nodes=(node.name,)))

    def _pool_layer(
        self, node: Node, name: str, source: str, target: str, size: int, stride: int, pads
    ) -> None:
        out = self.maps[target]
        part = MaxPart(
            size=size, stride=stride,
            pad_top=size - 1 if pads[1] is None else pads[1],
            pad_left=size - 1 if pads[2] is None else pads[2],
            height=out.size[1], width=out.size[2],
        )  # fmt: skip
        copy = identity(name, source, target, self.maps[source])
        self.convs.append(replace(copy, pool=part, nodes=(node.name,)))


def _axes(values: Sequence[int], fill: int = 1) -> Axes:
    z, y, x = (*(fill,) * (3 - len(values)), *values)
    return z, y, x
