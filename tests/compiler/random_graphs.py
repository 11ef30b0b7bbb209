"""Random small integer graphs of all that the array knows, one input of features."""

from __future__ import annotations

import numpy as np

from tf2.ir import INT32, Feature, Graph, Node, Plain, TensorType, verify
from tf2.numerics import pot4
from tf2.numerics.fixed_point import MAX_SHIFT


class RandomGraph:
    """Grows a graph node by node; every value may be read again.

    Args:
        rng: Chooses everything.
        rank: Spatial axes, 1 to 3.
    """

    def __init__(self, rng: np.random.Generator, rank: int) -> None:
        self._rng, self._rank = rng, rank
        self._types: dict[str, TensorType] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._nodes: list[Node] = []
        self._values: list[str] = []
        size = tuple(int(n) for n in rng.integers(1, {1: 40, 2: 14, 3: 7}[rank], rank))
        self._value("x", self._feature(), (1, int(rng.integers(1, 12)), *size))

    def grown(self, steps: int) -> Graph:
        """Return the graph after that many attempts to add a node; its last values are outputs."""
        for step in range(steps):
            grow = self._rng.choice(
                [self._conv, self._conv, self._conv, self._add, self._max_pool, self._average_pool,
                 self._concat, self._fully_connected, self._shuffle, self._crop, self._pad]
            )  # fmt: skip
            grow(f"n{step}")
        if not self._nodes:
            self._conv("last")
        read = {name for node in self._nodes for name in node.inputs}
        outputs = tuple(n for node in self._nodes for n in node.outputs if n not in read)
        return verify(
            Graph(
                name="random", inputs=("x",), outputs=outputs, nodes=tuple(self._nodes),
                types=self._types, constants=self._constants,
            )
        )  # fmt: skip

    def _value(self, name: str, dtype, shape: tuple[int, ...]) -> str:
        self._types[name] = TensorType(dtype, shape)
        self._values.append(name)
        return name

    def _feature(self) -> Feature:
        return Feature(int(self._rng.integers(0, 7)), int(self._rng.choice([0, -128])))

    def _constant(self, name: str, data: np.ndarray) -> str:
        self._constants[name] = data
        self._types[name] = TensorType(Plain(str(data.dtype)), data.shape)
        return name

    def _some_map(self) -> tuple[str, tuple[int, ...]] | None:
        maps = [
            name for name in self._values
            if len(self._types[name].shape) == self._rank + 2
            and isinstance(self._types[name].dtype, Feature)
        ]  # fmt: skip
        name = str(self._rng.choice(maps))
        return name, self._types[name].shape

    def _window(self, size: tuple[int, ...], largest: int, stride: int) -> tuple[list, ...] | None:
        rng = self._rng
        kernel = [int(rng.integers(1, largest + 1)) for _ in size]
        strides = [int(rng.integers(1, stride + 1)) for _ in size]
        dilations = [int(rng.integers(1, 3)) if k > 1 else 1 for k in kernel]
        begin = [int(rng.integers(0, k)) for k in kernel]
        end = [int(rng.integers(0, k)) for k in kernel]
        return kernel, strides, dilations, begin, end

    @staticmethod
    def _out(size, kernel, strides, dilations, begin, end) -> tuple[int, ...] | None:
        out = tuple(
            (n + b + e - d * (k - 1) - 1) // s + 1
            for n, k, s, d, b, e in zip(size, kernel, strides, dilations, begin, end, strict=True)
        )
        return out if min(out) >= 1 else None

    def _weights(self, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
        if self._rng.random() < 0.25:
            return self._rng.integers(-128, 128, shape).astype(np.int8), "int8"
        return self._rng.choice(np.array(pot4.VALUES, dtype=np.int8), shape), "pot4"

    def _factors(self, name: str, outs: int, zero_point: int) -> list[str]:
        rng = self._rng
        arrays = {
            "multiplier": rng.integers(0, 256, outs),
            "shift": rng.integers(6, MAX_SHIFT[zero_point] + 1, outs),
        }
        if rng.random() < 0.3:
            arrays["negative_multiplier"] = rng.integers(-255, 256, outs)
            arrays["negative_shift"] = rng.integers(6, MAX_SHIFT[zero_point] + 1, outs)
        return [self._constant(f"{name}:{k}", a.astype(np.int32)) for k, a in arrays.items()]

    def _bounds(self) -> dict[str, int]:
        if self._rng.random() < 0.5:
            return {}
        low, high = sorted(self._rng.integers(-128, 128, 2).tolist())
        return {"low": low, "high": high}

    def _conv(self, name: str) -> None:
        source, (_, channels, *size) = self._some_map()
        walk = self._window(tuple(size), {1: 9, 2: 4, 3: 3}[self._rank], 3)
        out = self._out(size, *walk)
        if out is None:
            return
        groups = int(self._rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        outs = groups * int(self._rng.integers(1, max(2, 10 // groups)))
        weight, kind = self._weights((outs, channels // groups, *walk[0]))
        attrs = {
            "group": groups, "strides": tuple(walk[1]), "dilations": tuple(walk[2]),
            "pads": (*walk[3], *walk[4]), "weight_kind": kind,
        }  # fmt: skip
        self._linear(name, source, weight, (1, outs, *out), attrs)

    def _linear(self, name: str, source: str, weight: np.ndarray, shape, attrs) -> None:
        outs = len(weight)
        inputs = [
            source,
            self._constant(f"{name}:w", weight),
            self._constant(f"{name}:b", self._rng.integers(-4000, 4000, outs).astype(np.int32)),
        ]
        if self._rng.random() < 0.1:
            self._node(name, "Conv", inputs, INT32, shape, attrs)
            return
        kind = self._feature()
        inputs += self._factors(name, outs, kind.zero_point)
        self._node(name, "Conv", inputs, kind, shape, {**attrs, **self._bounds()})

    def _node(self, name, op, inputs, dtype, shape, attrs=None, domain="tf2") -> None:
        value = self._value(f"{name}:v", dtype, tuple(shape))
        self._nodes.append(
            Node(name=name, op=op, domain=domain, inputs=tuple(inputs), outputs=(value,),
                 attrs=attrs or {})
        )  # fmt: skip

    def _fully_connected(self, name: str) -> None:
        source, shape = self._some_map()
        flat = int(np.prod(shape))
        if flat > 600:
            return
        self._node(f"{name}f", "Flatten", [source], self._types[source].dtype, (1, flat), domain="")
        outs = int(self._rng.integers(1, 12))
        weight, kind = self._weights((outs, flat))
        self._linear(name, f"{name}f:v", weight, (1, outs), {"weight_kind": kind})

    def _add(self, name: str) -> None:
        a, shape = self._some_map()
        same = [v for v in self._values if self._types[v].shape == shape
                and isinstance(self._types[v].dtype, Feature)]  # fmt: skip
        b = str(self._rng.choice(same))
        self._node(name, "Add", [a, b], self._feature(), shape, self._bounds())

    def _max_pool(self, name: str) -> None:
        source, (_, channels, *size) = self._some_map()
        rng = self._rng
        k, s = int(rng.integers(1, 6)), int(rng.integers(1, 5))
        kernel = [k] * self._rank
        strides = [s] * self._rank
        if self._rank == 3:
            kernel[0] = strides[0] = 1
        begin = [int(rng.integers(0, k)) for k in kernel]
        end = [int(rng.integers(0, k)) for k in kernel]
        out = self._out(size, kernel, strides, [1] * self._rank, begin, end)
        if out is None:
            return
        attrs = {"kernel_shape": tuple(kernel), "strides": tuple(strides), "pads": (*begin, *end)}
        self._node(name, "MaxPool", [source], self._types[source].dtype, (1, channels, *out),
                   attrs, domain="")  # fmt: skip

    def _average_pool(self, name: str) -> None:
        source, (_, channels, *size) = self._some_map()
        kernel, strides, _, begin, end = self._window(tuple(size), 4, 3)
        if self._rng.random() < 0.4:
            kernel, strides, begin, end = (
                list(size),
                [1] * len(size),
                [0] * len(size),
                [0] * len(size),
            )
            if self._rng.random() < 0.5:
                self._node(name, "AveragePool", [source], INT32, (1, channels, *[1] * self._rank),
                           {"kernel_shape": tuple(kernel)})  # fmt: skip
                return
        out = self._out(size, kernel, strides, [1] * self._rank, begin, end)
        if out is None:
            return
        kind = self._feature()
        attrs = {
            "kernel_shape": tuple(kernel), "strides": tuple(strides), "pads": (*begin, *end),
            "multiplier": int(self._rng.integers(1, 256)),
            "shift": int(self._rng.integers(4, MAX_SHIFT[kind.zero_point] + 1)),
        }  # fmt: skip
        self._node(name, "AveragePool", [source], kind, (1, channels, *out), attrs)

    def _concat(self, name: str) -> None:
        first, shape = self._some_map()
        kind = self._types[first]
        able = [v for v in self._values if self._types[v].dtype == kind.dtype
                and self._types[v].shape[2:] == shape[2:]
                and len(self._types[v].shape) == len(shape)]  # fmt: skip
        parts = [first, *(str(v) for v in self._rng.choice(able, int(self._rng.integers(1, 3))))]
        channels = sum(self._types[v].shape[1] for v in parts)
        if channels <= 40:
            self._node(name, "Concat", parts, kind.dtype, (1, channels, *shape[2:]), {"axis": 1},
                       domain="")  # fmt: skip

    def _shuffle(self, name: str) -> None:
        source, shape = self._some_map()
        order = self._rng.permutation(shape[1])[: int(self._rng.integers(1, shape[1] + 1))]
        index = self._constant(f"{name}:i", order.astype(np.int64))
        self._node(name, "Gather", [source, index], self._types[source].dtype,
                   (1, len(order), *shape[2:]), {"axis": 1}, domain="")  # fmt: skip

    def _crop(self, name: str) -> None:
        source, shape = self._some_map()
        if shape[-1] < 3:
            return
        parameters = [
            self._constant(f"{name}:{key}", np.array([v], dtype=np.int64))
            for key, v in {"from": 1, "to": shape[-1], "axis": len(shape) - 1, "step": 2}.items()
        ]
        width = (shape[-1] - 1 + 1) // 2
        self._node(name, "Slice", [source, *parameters], self._types[source].dtype,
                   (*shape[:-1], width), domain="")  # fmt: skip

    def _pad(self, name: str) -> None:
        source, shape = self._some_map()
        amounts = self._rng.integers(0, 3, (2, len(shape)))
        amounts[:, 0] = 0
        pads = self._constant(f"{name}:p", amounts.reshape(-1).astype(np.int64))
        self._node(name, "Pad", [source, pads], self._types[source].dtype,
                   tuple(int(n + a + b) for n, (a, b) in zip(shape, amounts.T, strict=True)),
                   domain="")  # fmt: skip


def random_graph(rng: np.random.Generator, *, rank: int, steps: int) -> Graph:
    """Return a random verified graph; the same generator state gives the same one."""
    return RandomGraph(rng, rank).grown(steps)
