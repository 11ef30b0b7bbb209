"""The integer network while it is built, step by step, from the float one.

Names: the byte form of a float value ``v`` is ``v:bytes``; its float form keeps the name ``v``. So
graph outputs keep their names, and every level of execution can be compared value by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tf2.ir import FLOAT32, INT32, Feature, Graph, Node, Plain, TensorType, verify
from tf2.ir.integer_ops import DOMAIN
from tf2.numerics import fixed_point
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN
from tf2.passes.activation import Activation
from tf2.quantization.average_pool import divisor, kernel_of
from tf2.quantization.feature_scales import feature_operands
from tf2.quantization.partition import Step


def bytes_name(value: str) -> str:
    """Return the name of the byte form of a float value."""
    return f"{value}:bytes"


@dataclass(frozen=True, kw_only=True)
class ConvParameters:
    """Integer parameters of one tf2.Conv; all arrays per output channel except the weight.

    Attributes:
        weight: int8 (O, I/groups, *kernel).
        bias: int32 (O,).
        multiplier: int32 (O,), 0..255.
        shift: int32 (O,).
        weight_kind: "pot4" or "int8".
        negative: Second (multiplier, shift), where the activation has a slope below zero.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    weight_kind: str
    negative: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, kw_only=True)
class SumParameters:
    """Parameters of one tf2.Conv whose accumulators leave the array.

    Attributes:
        weight: int8 (O, I/groups, *kernel).
        bias: int32 (O,).
        scale: float32 (O,), the value of one step of an accumulator.
        weight_kind: "pot4" or "int8".
    """

    weight: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    weight_kind: str


class IntegerGraph:
    """Builds the integer network of a canonical float graph.

    Args:
        graph: The canonical float graph.
        scales: Of every value that is needed as bytes.
    """

    def __init__(self, graph: Graph, scales: Mapping[str, Feature]) -> None:
        self._float = graph
        self._scales = scales
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = dict(graph.types)
        self._constants: dict[str, np.ndarray] = dict(graph.constants)
        self._present: set[str] = {*graph.inputs, *graph.constants}

    def feature(self, value: str) -> Feature:
        """Return the scale of a value's byte form."""
        return self._scales[value]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes so far; what was added since a moment is the tail."""
        return tuple(self._nodes)

    def add_conv(self, step: Step, parameters: ConvParameters) -> None:
        """Append a convolution or fully connected layer."""
        node = step.node
        arrays = {
            "weight": parameters.weight.astype(np.int8),
            "bias": parameters.bias.astype(np.int32),
            "multiplier": parameters.multiplier.astype(np.int32),
            "shift": parameters.shift.astype(np.int32),
        }
        if parameters.negative is not None:
            arrays["negative_multiplier"] = parameters.negative[0].astype(np.int32)
            arrays["negative_shift"] = parameters.negative[1].astype(np.int32)
        names = tuple(self._constant(f"{node.name}:{key}", a) for key, a in arrays.items())
        attrs = {
            **_window_attrs(node, "group"),
            **self._bounds(step),
            "weight_kind": parameters.weight_kind,
        }
        self._append(step, "Conv", (self.as_bytes(node.inputs[0]), *names), attrs)

    def add_conv_sums(self, step: Step, parameters: SumParameters) -> None:
        """Append a convolution or fully connected layer whose sums the host scales in float."""
        node = step.node
        arrays = {"weight": parameters.weight, "bias": parameters.bias}
        names = tuple(self._constant(f"{node.name}:{key}", a) for key, a in arrays.items())
        attrs = {**_window_attrs(node, "group"), "weight_kind": parameters.weight_kind}
        scale = parameters.scale.reshape(-1, *[1] * (parameters.weight.ndim - 2))
        self._append_sums(step, "Conv", (self.as_bytes(node.inputs[0]), *names), attrs, scale)

    def add_elementwise_add(self, step: Step) -> None:
        """Append the sum of two feature tensors."""
        operands = tuple(self.as_bytes(name) for name in step.node.inputs)
        self._append(step, "Add", operands, self._bounds(step))

    def add_average_pool(self, step: Step) -> None:
        """Append an average over windows of one size."""
        node = step.node
        kernel = kernel_of(self._float, node)
        count = divisor(self._float, node)
        assert count is not None, "partition admits pools of one divisor only"
        x = self.feature(node.inputs[0])
        source = self.as_bytes(node.inputs[0])
        if step.sums:
            scale = np.array(x.scale / count, np.float32)
            self._append_sums(step, "AveragePool", (source,), {"kernel_shape": kernel}, scale)
            return
        y = self.feature(step.output)
        scale = 2.0 ** (y.frac_bits - x.frac_bits) / count
        multiplier, shift = fixed_point.nearest_multiplier(np.array(scale), zero_point=y.zero_point)
        factors = {"multiplier": int(multiplier), "shift": int(shift)}
        attrs = {"kernel_shape": kernel, **factors, **_window_attrs(node)}
        self._append(step, "AveragePool", (source,), attrs)

    def add_move(self, step: Step) -> None:
        """Append a node that moves bytes."""
        node = step.node
        data = set(feature_operands(self._float, node.inputs, "move"))
        inputs = tuple(self.as_bytes(n) if n in data else n for n in node.inputs)
        outputs = tuple(self._new_bytes(n) if n else "" for n in node.outputs)
        self._nodes.append(replace(node, inputs=inputs, outputs=outputs))

    def add_host(self, step: Step) -> None:
        """Append a node that computes in float on the host."""
        for name in step.node.inputs:
            if name:
                self.as_float(name)
        self._nodes.append(step.node)
        self._present.update(step.node.outputs)

    def as_bytes(self, value: str) -> str:
        """Return the byte form of a value, quantizing its float form where there is no other."""
        name = bytes_name(value)
        if name not in self._present:
            self._new_bytes(value)
            self._nodes.append(self._border(f"{value}:quantize", "Quantize", value, name))
        return name

    def as_float(self, value: str) -> str:
        """Return the float form of a value, dequantizing its byte form where there is no other."""
        if value not in self._present:
            self._present.add(value)
            border = self._border(f"{value}:dequantize", "Dequantize", bytes_name(value), value)
            self._nodes.append(border)
        return value

    def finished(self) -> Graph:
        """Return the verified integer graph, with the inputs and outputs of the float one."""
        for name in self._float.outputs:
            self.as_float(name)
        whole = replace(
            self._float, nodes=tuple(self._nodes), types=self._types, constants=self._constants
        )
        return verify(whole.replaced())

    def so_far(self, nodes: tuple[Node, ...], outputs: tuple[str, ...]) -> Graph:
        """Return a graph of these nodes alone; what they read from elsewhere are its inputs."""
        written = {name for node in nodes for name in node.outputs}
        read = dict.fromkeys(n for node in nodes for n in node.inputs if n and n not in written)
        inputs = tuple(n for n in read if n not in self._constants)
        whole = replace(
            self._float,
            inputs=inputs,
            outputs=outputs,
            nodes=nodes,
            types=self._types,
            constants=self._constants,
        )
        return whole.replaced()

    def _append(
        self, step: Step, op: str, inputs: tuple[str, ...], attrs: Mapping[str, object]
    ) -> None:
        output = self._new_bytes(step.output)
        name = step.node.name
        self._nodes.append(
            Node(name=name, op=op, domain=DOMAIN, inputs=inputs, outputs=(output,), attrs=attrs)  # pyright: ignore[reportArgumentType]
        )

    def _append_sums(
        self,
        step: Step,
        op: str,
        inputs: tuple[str, ...],
        attrs: Mapping[str, object],
        scale: np.ndarray,
    ) -> None:
        """Append an operator that gives int32 sums, and the host's cast and multiplication."""
        name, value = step.node.name, step.output
        shape = self._float.shape(value)
        sums, real = f"{value}:sums", f"{value}:real"
        self._types[sums] = TensorType(INT32, shape)
        self._types[real] = TensorType(FLOAT32, shape)
        factor = self._constant(f"{name}:scale", scale.astype(np.float32))
        self._nodes += [
            Node(name=name, op=op, domain=DOMAIN, inputs=inputs, outputs=(sums,), attrs=attrs),  # pyright: ignore[reportArgumentType]
            Node(name=f"{name}:cast", op="Cast", inputs=(sums,), outputs=(real,), attrs={"to": 1}),
            Node(name=f"{name}:scaled", op="Mul", inputs=(real, factor), outputs=(value,)),
        ]
        self._present.add(value)

    def _border(self, name: str, op: str, source: str, target: str) -> Node:
        return Node(name=name, op=op, domain=DOMAIN, inputs=(source,), outputs=(target,))

    def _constant(self, name: str, data: np.ndarray) -> str:
        self._constants[name] = data
        self._types[name] = TensorType(Plain(str(data.dtype)), data.shape)
        return name

    def _new_bytes(self, value: str) -> str:
        name = bytes_name(value)
        self._types[name] = TensorType(self._scales[value], self._float.shape(value))
        self._present.add(name)
        return name

    def _bounds(self, step: Step) -> dict[str, int]:
        return activation_bytes(step.activation, self.feature(step.output))


def _window_attrs(node: Node, *more: str) -> dict[str, object]:
    """Return the attributes of a float node that say how its window walks."""
    names = ("strides", "pads", "dilations", *more)
    return {name: node.attrs[name] for name in names if name in node.attrs}


def activation_bytes(activation: Activation, feature: Feature) -> dict[str, int]:
    """Return the bytes ``low`` and ``high`` of an activation's bounds, where they clip anything.

    ReLU into zero point -128 needs neither: it is the saturation itself.
    """
    bounds = np.array([activation.low, activation.high], np.float32)
    low, high = fixed_point.quantize(bounds, feature.frac_bits, feature.zero_point).tolist()
    clips = {"low": low} if low > BYTE_MIN else {}
    return {**clips, "high": high} if high < BYTE_MAX else clips
