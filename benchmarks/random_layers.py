"""Random integer layers and small networks, legal but nasty: for the tests and `exactness.py`.

Everything comes from one `numpy.random.Generator`, so a seed names a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf2.ir import Feature, Graph, Node, Plain, TensorType, verify
from tf2.ir.dtypes import DType
from tf2.ir.graph import Attr
from tf2.numerics import fixed_point, pot4
from tf2.numerics.integer_ops import Window

Rng = np.random.Generator


class Net:
    """A graph while it is built: values are named v0, v1, ...

    Args:
        x: Type of the input, which is named "x".
        batch_is_free: As of `Graph`.
    """

    def __init__(self, x: TensorType, *, batch_is_free: bool = True) -> None:
        self.types = {"x": x}
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.batch_is_free = batch_is_free

    def constant(self, data: np.ndarray) -> str:
        """Add a constant and return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = data
        self.types[name] = TensorType(Plain(data.dtype.name), data.shape)
        return name

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        out: TensorType,
        *,
        domain: str = "tf2",
        **attrs: Attr,
    ) -> str:
        """Add a node with one output of that type and return the output's name."""
        name = f"v{len(self.nodes)}"
        self.types[name] = out
        node = Node(
            name=f"n{len(self.nodes)}",
            op=op,
            domain=domain,
            inputs=tuple(inputs),
            outputs=(name,),
            attrs=attrs,
        )
        self.nodes.append(node)
        return name

    def graph(self, *outputs: str) -> Graph:
        """Return the verified graph; default output is the last value."""
        return verify(
            Graph(
                name="random",
                inputs=("x",),
                outputs=outputs or (self.nodes[-1].output,),
                nodes=tuple(self.nodes),
                types=self.types,
                constants=self.constants,
                batch_is_free=self.batch_is_free,
            )
        )


def feature(rng: Rng, *, near: int | None = None) -> Feature:
    """Return a random feature format, of frac_bits near another's if given."""
    frac_bits = int(rng.integers(-8, 13)) if near is None else near + int(rng.integers(-4, 5))
    return Feature(frac_bits, int(rng.choice([fixed_point.SIGNED, fixed_point.UNSIGNED])))


def feature_bytes(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Return bytes of one of three kinds: any, the two extremes, one extreme only."""
    kind = rng.choice(["any", "extremes", "largest"], p=[0.7, 0.2, 0.1])
    if kind == "any":
        return rng.integers(-128, 128, shape).astype(np.int8)
    if kind == "extremes":
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return np.full(shape, 127, np.int8)


def feeds(rng: Rng, graph: Graph, batch: int) -> dict[str, np.ndarray]:
    """Return a batch for a graph with the one input "x"."""
    x = graph.types["x"]
    shape = (batch, *x.shape[1:])
    if isinstance(x.dtype, Feature):
        return {"x": feature_bytes(rng, shape)}
    return {"x": (rng.normal(size=shape) * 10.0 ** rng.integers(-1, 3)).astype(np.float32)}


def window(rng: Rng, size: Sequence[int], *, pool: bool = False) -> Window:
    """Return a random window with at least one position; padding of a pool stays below its taps."""
    axes: list[tuple[int, int, int, int, int]] = []
    for n in size:
        taps = int(rng.integers(1, 4 if len(size) == 3 else 8))
        dilation = 1 if pool else int(rng.choice([1, 1, 2, 3]))
        begin, end = rng.integers(0, min(taps, 4) if pool else 4, 2).tolist()
        dilation = dilation if dilation * (taps - 1) < n + begin + end else 1
        taps = min(taps, n + begin + end)
        if pool and taps <= max(begin, end):
            taps, begin, end = min(taps, n), 0, 0
        axes.append((taps, int(rng.choice([1, 1, 2, 3, 4])), begin, end, dilation))
    kernel, strides, begins, ends, dilations = zip(*axes, strict=True) if axes else ((),) * 5
    return Window(
        kernel=kernel, strides=strides, pads_begin=begins, pads_end=ends, dilations=dilations
    )


def integer_weights(rng: Rng, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Return int8 weights of a lane kind: any, or (one in three) the largest of either sign."""
    top = pot4.VALUES[-1] if kind == "pot4" else 127
    if rng.random() < 1 / 3:
        return rng.choice(np.array([-top, top], np.int8), shape)
    legal = np.array(pot4.VALUES) if kind == "pot4" else np.arange(-128, 128)
    return rng.choice(legal, shape).astype(np.int8)


def rescaling(
    rng: Rng, channels: int, spread: float, zero_point: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (multiplier, shift): any legal pair, or one that brings ``spread`` to a few bytes."""
    if rng.random() < 0.3:
        shift = rng.integers(0, fixed_point.MAX_SHIFT[zero_point] + 1, channels)
        return rng.integers(0, 256, channels).astype(np.int32), shift.astype(np.int32)
    scale = 40 / spread * 2.0 ** rng.uniform(-2, 2, channels)
    if rng.random() < 0.3:
        scale = 2.0 ** np.round(np.log2(scale))
    multiplier, shift = fixed_point.nearest_multiplier(scale, zero_point=zero_point)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def bounds(rng: Rng) -> dict[str, Attr]:
    """Return the attributes of a clip, of one result in four."""
    if rng.random() < 0.75:
        return {}
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    return {"low": low, "high": high}


def conv(net: Net, rng: Rng, x: str) -> str:
    """Add a tf2.Conv of any kind that the input admits; without spatial axes a full connection."""
    shape, source = net.types[x].shape, net.types[x].dtype
    channels, size = shape[1], shape[2:]
    groups = int(rng.choice([g for g in (1, 1, 2, 4, channels) if channels % g == 0]))
    groups = groups if size else 1
    out_channels = groups * int(rng.integers(1, max(2, 25 // groups)))
    win = window(rng, size)
    out = feature(rng, near=source.frac_bits if isinstance(source, Feature) else 0)
    kind = str(rng.choice(["pot4", "int8"], p=[0.7, 0.3]))
    weights = integer_weights(rng, (out_channels, channels // groups, *win.kernel), kind)
    spread = 70.0 * np.sqrt(np.square(weights.astype(float)).sum() / out_channels) + 1.0
    bias = rng.normal(0.0, spread, out_channels).astype(np.int32)
    factors = [*rescaling(rng, out_channels, spread, out.zero_point)]
    if rng.random() < 0.15:
        factors += rescaling(rng, out_channels, 4 * spread, out.zero_point)
    return net.add(
        "Conv",
        [x, *(net.constant(array) for array in (weights, bias, *factors))],
        TensorType(out, (1, out_channels, *win.output_size(size))),
        group=groups,
        strides=win.strides,
        pads=(*win.pads_begin, *win.pads_end),
        dilations=win.dilations,
        weight_kind=kind,
        **bounds(rng),
    )


def average_pool(net: Net, rng: Rng, x: str) -> str:
    """Add a tf2.AveragePool, one in three global; the last window may reach out (ceil mode)."""
    shape, source = net.types[x].shape, net.types[x].dtype
    assert isinstance(source, Feature)
    win = window(rng, shape[2:], pool=True)
    if rng.random() < 1 / 3:
        none = (0,) * len(win.kernel)
        ones = (1,) * len(win.kernel)
        win = Window(kernel=shape[2:], strides=ones, pads_begin=none, pads_end=none, dilations=ones)
    out = Feature(source.frac_bits + int(rng.integers(-2, 3)), int(rng.choice([0, -128])))
    scale = np.array(2.0 ** (out.frac_bits - source.frac_bits) / np.prod(win.kernel))
    multiplier, shift = fixed_point.nearest_multiplier(scale, zero_point=out.zero_point)
    size = win.output_size(shape[2:])
    if rng.random() < 0.5:  # ceil mode: one more window where positions are left over
        left = (
            n + b + e - k - (o - 1) * s
            for n, b, e, k, o, s in zip(
                shape[2:], win.pads_begin, win.pads_end, win.kernel, size, win.strides, strict=True
            )
        )
        size = tuple(o + (rest > 0) for o, rest in zip(size, left, strict=True))
    return net.add(
        "AveragePool",
        [x],
        TensorType(out, (*shape[:2], *size)),
        kernel_shape=win.kernel,
        strides=win.strides,
        pads=(*win.pads_begin, *win.pads_end),
        multiplier=int(multiplier),
        shift=int(shift),
    )


def max_pool(net: Net, rng: Rng, x: str) -> str:
    """Add a MaxPool of feature bytes."""
    shape = net.types[x].shape
    win = window(rng, shape[2:], pool=True)
    return net.add(
        "MaxPool",
        [x],
        TensorType(net.types[x].dtype, (*shape[:2], *win.output_size(shape[2:]))),
        domain="",
        kernel_shape=win.kernel,
        strides=win.strides,
        pads=(*win.pads_begin, *win.pads_end),
    )


def add(net: Net, rng: Rng, a: str, b: str) -> str:
    """Add a tf2.Add of two values of one shape, into a format near theirs."""
    formats = [net.types[name].dtype for name in (a, b)]
    bits = [f.frac_bits for f in formats if isinstance(f, Feature)]
    lowest, highest = max(bits) - fixed_point.MAX_ADD_SPREAD, min(bits)
    near = int(np.clip(highest + rng.integers(-6, 6), lowest, lowest + 14))
    shape = np.broadcast_shapes(net.types[a].shape, net.types[b].shape)
    out = TensorType(Feature(near, int(rng.choice([0, -128]))), shape)
    return net.add("Add", [a, b], out, **bounds(rng))


def features_type(rng: Rng, axes: int, *, dtype: DType | None = None) -> TensorType:
    """Return a random input type with that many spatial axes."""
    channels = int(rng.choice([1, 2, 3, 4, 7, 8, 12, 16, 24, 33]))
    longest = {0: 1, 1: 40, 2: 17, 3: 8}[axes]
    size = rng.integers(1, longest + 1, axes).tolist()
    return TensorType(feature(rng) if dtype is None else dtype, (1, channels, *size))


def random_layer(rng: Rng, op: str | None = None, axes: int | None = None) -> Graph:
    """Return a graph of one operator from feature bytes to feature bytes.

    Args:
        rng: Source of every choice.
        op: "Conv", "Add", "AveragePool" or "MaxPool"; default any, two in three a Conv.
        axes: Spatial axes, 0..3; default any that the operator takes.
    """
    op = op or str(
        rng.choice(["Conv", "Add", "AveragePool", "MaxPool"], p=[0.67, 0.13, 0.13, 0.07])
    )
    if axes is None:
        axes = int(rng.choice([0, 1, 2, 3] if op in ("Conv", "Add") else [1, 2, 3]))
    net = Net(features_type(rng, axes))
    if op == "Conv":
        conv(net, rng, "x")
    elif op == "AveragePool":
        average_pool(net, rng, "x")
    elif op == "MaxPool":
        max_pool(net, rng, "x")
    else:
        _random_sum(net, rng)
    return net.graph()


def _random_sum(net: Net, rng: Rng) -> None:
    """Add the input to a constant-free second operand: itself, moved along its channels."""
    x = net.types["x"]
    order = rng.permutation(x.shape[1])
    other = net.add("Gather", ["x", net.constant(order)], x, domain="", axis=1)
    add(net, rng, "x", other)


def random_network(rng: Rng, depth: int = 6) -> Graph:
    """Return a small network: float image, quantized, layers with branches, float result."""
    net = Net(features_type(rng, 2, dtype=Plain("float32")))
    shape = net.types["x"].shape
    value = net.add("Quantize", ["x"], TensorType(feature(rng, near=2), shape))
    for _ in range(depth):
        step = rng.choice(["conv", "branch", "concat", "max_pool", "average_pool"])
        if step == "conv":
            value = conv(net, rng, value)
        elif step == "max_pool":
            value = max_pool(net, rng, value)
        elif step == "average_pool":
            value = average_pool(net, rng, value)
        elif step == "concat":
            value = _concat(net, rng, value)
        else:
            value = _branch(net, rng, value)
    net.add("Dequantize", [value], TensorType(Plain("float32"), net.types[value].shape))
    return net.graph()


def _concat(net: Net, rng: Rng, value: str) -> str:
    before = net.types[value]
    pieces = [value] * int(rng.integers(2, 4))
    shape = (1, before.shape[1] * len(pieces), *before.shape[2:])
    return net.add("Concat", pieces, TensorType(before.dtype, shape), domain="", axis=1)


def _branch(net: Net, rng: Rng, value: str) -> str:
    """Add a value to a 1x1 depthwise convolution of it, as a residual block does."""
    before = net.types[value]
    channels, axes = before.shape[1], len(before.shape) - 2
    out = feature(rng, near=before.dtype.frac_bits if isinstance(before.dtype, Feature) else 0)
    weights = integer_weights(rng, (channels, 1, *[1] * axes), "pot4")
    multiplier, shift = rescaling(rng, channels, 2000.0, out.zero_point)
    arrays = (weights, np.zeros(channels, np.int32), multiplier, shift)
    inputs = [value, *(net.constant(array) for array in arrays)]
    branch = net.add("Conv", inputs, TensorType(out, before.shape), group=channels)
    return add(net, rng, value, branch)
