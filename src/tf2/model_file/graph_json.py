"""A graph as the two members ``graph.json`` and ``tensors.safetensors``, and back.

Both directions raise ValueError (of which pydantic's error is one); who reads or writes the file
adds its name.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tf2.ir import Feature, Graph, Node, Plain, TensorType
from tf2.ir.dtypes import PLAIN
from tf2.ir.integer_ops import DOMAIN
from tf2.model_file.attributes import attr_from_json, attr_to_json, text_array
from tf2.model_file.tensors import TensorReader, TensorWriter, element_name
from tf2.numerics import fixed_point, pot4

_TYPE = re.compile(
    rf"(?:({'|'.join(PLAIN)})|([su])8q(-?\d{{1,3}}))\[((?:\d{{1,12}}(?:,\d{{1,12}})*)?)\]"
)

_NARROW = ("uint8", "int16")
"""What the int32 constants of array layers may be stored as, smallest first."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PackedWeights(_Record):
    """4-bit codes, four in a uint16, in the tensor ``weight:NAME``."""

    stored: Literal["pot4"]
    min_exponent: Literal[0]  # the code book's; the layer's multipliers carry its scale


class OwnTensor(_Record):
    """As it is, in the tensor ``weight:NAME``."""

    stored: Literal["tensor"]


class Pooled(_Record):
    """A part of the tensor ``pool:POOL``, which begins at element ``at``."""

    stored: Literal["pool"]
    pool: str
    at: int = Field(ge=0)


class Text(_Record):
    """Strings, written out in C order."""

    stored: Literal["text"]
    values: tuple[str, ...]


Constant = Annotated[PackedWeights | OwnTensor | Pooled | Text, Field(discriminator="stored")]


class NodeRecord(_Record):
    """One node; attributes as `tf2.model_file.attributes` writes them."""

    name: str
    op: str
    domain: str = ""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any] = {}


class GraphRecord(_Record):
    """The content of ``graph.json``."""

    name: str
    batch_is_free: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: dict[str, str]
    constants: dict[str, Constant]
    nodes: tuple[NodeRecord, ...]


def encode_graph(graph: Graph) -> tuple[bytes, bytes]:
    """Return (graph.json, tensors.safetensors); equal graphs give equal bytes.

    Args:
        graph: Verified.

    Raises:
        ValueError: A constant's data are not of its type, or a value cannot be written.
    """
    tensors = TensorWriter()
    roles = _roles(graph)
    constants: dict[str, Constant] = {}
    for name, data in sorted(graph.constants.items()):
        _check_elements(name, graph.types[name], data)
        constants[name] = _encode_constant(name, data, roles.get(name, ""), tensors)
    record = GraphRecord(
        name=graph.name,
        batch_is_free=graph.batch_is_free,
        inputs=graph.inputs,
        outputs=graph.outputs,
        types={name: type_to_text(value) for name, value in sorted(graph.types.items())},
        constants=constants,
        nodes=tuple(_encode_node(node, tensors) for node in graph.nodes),
    )
    return record.model_dump_json(exclude_defaults=True).encode(), tensors.to_bytes()


def decode_graph(graph_json: bytes, tensor_bytes: bytes) -> Graph:
    """Return the graph that `encode_graph` was given, not yet verified.

    Raises:
        ValueError: The members are not what `encode_graph` writes.
    """
    record = GraphRecord.model_validate_json(graph_json)
    tensors = TensorReader(tensor_bytes)
    types = {name: type_from_text(text) for name, text in record.types.items()}
    constants: dict[str, np.ndarray] = {}
    for name, stored in record.constants.items():
        if name not in types:
            raise ValueError(f"constant {name!r} has no type")
        constants[name] = _decode_constant(name, stored, types[name], tensors)
        _check_elements(name, types[name], constants[name])
    nodes = tuple(_decode_node(node, tensors) for node in record.nodes)
    tensors.finish()
    return Graph(
        name=record.name,
        inputs=record.inputs,
        outputs=record.outputs,
        nodes=nodes,
        types=types,
        constants=constants,
        batch_is_free=record.batch_is_free,
    )


def type_to_text(value: TensorType) -> str:
    """Return "float32[1,3,224,224]", or "u8q4[...]" and "s8q-1[...]" for feature bytes.

    Raises:
        ValueError: A dimension is negative, or has more than twelve digits.
    """
    element, shape = value.dtype, ",".join(map(str, value.shape))
    if isinstance(element, Plain):
        text = f"{element.name}[{shape}]"
    else:
        sign = "u" if element.zero_point == fixed_point.UNSIGNED else "s"
        text = f"{sign}8q{element.frac_bits}[{shape}]"
    type_from_text(text)  # better refused now than when the file is read
    return text


def type_from_text(text: str) -> TensorType:
    """Return the type that `type_to_text` wrote.

    Raises:
        ValueError: It wrote no such text.
    """
    match = _TYPE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no tensor type, such as 'u8q4[1,64,55,55]'")
    plain, sign, frac_bits, sizes = match.groups()
    shape = tuple(int(size) for size in sizes.split(",") if size)
    if plain:
        return TensorType(Plain(plain), shape)
    zero_point = fixed_point.UNSIGNED if sign == "u" else fixed_point.SIGNED
    return TensorType(Feature(int(frac_bits), zero_point), shape)


def _roles(graph: Graph) -> dict[str, Literal["pot4", "int8", "narrow"]]:
    """What the constants of array layers are: weights of either kind, or one number a channel."""
    roles: dict[str, Literal["pot4", "int8", "narrow"]] = {}
    for node in graph.nodes:
        if node.domain != DOMAIN or node.op != "Conv":
            continue
        kind = "pot4" if node.attr("weight_kind", "pot4") == "pot4" else "int8"
        roles.setdefault(node.inputs[1], kind)
        for name in node.inputs[2:]:
            roles.setdefault(name, "narrow")
    return roles


def _encode_constant(name: str, data: np.ndarray, role: str, tensors: TensorWriter) -> Constant:
    if element_name(data) == "string":
        return Text(stored="text", values=tuple(map(str, data.reshape(-1).tolist())))
    if role == "pot4" and data.dtype == np.int8:
        tensors.add(name, pot4.pack(pot4.encode(data)))
        return PackedWeights(stored="pot4", min_exponent=0)
    if role == "int8" and data.dtype == np.int8:
        tensors.add(name, data)
        return OwnTensor(stored="tensor")
    if role == "narrow" and data.dtype == np.int32:
        data = _narrow(data)
    return Pooled(stored="pool", pool=element_name(data), at=tensors.add_to_pool(data))


def _narrow(data: np.ndarray) -> np.ndarray:
    """Return int32 in the smallest type that holds it: most multipliers, shifts and biases."""
    for name in _NARROW:
        smaller = data.astype(name)
        if np.array_equal(smaller, data):
            return smaller
    return data


def _decode_constant(
    name: str, stored: Constant, declared: TensorType, tensors: TensorReader
) -> np.ndarray:
    count = math.prod(declared.shape)
    match stored:
        case Text():
            return text_array(stored.values, declared.shape)
        case PackedWeights():
            data = pot4.decode(pot4.unpack(tensors.take(name), count))
        case OwnTensor():
            data = tensors.take(name)
        case Pooled():
            data = tensors.take_from_pool(stored.pool, stored.at, count)
            if declared.dtype == Plain("int32") and stored.pool in _NARROW:
                data = data.astype(np.int32)
    return data.reshape(declared.shape)


def _check_elements(name: str, declared: TensorType, data: np.ndarray) -> None:
    expected = declared.dtype.name if isinstance(declared.dtype, Plain) else "int8"
    if element_name(data) != expected:
        raise ValueError(
            f"constant {name!r} has elements {data.dtype}, its type {declared} needs {expected}"
        )


def _encode_node(node: Node, tensors: TensorWriter) -> NodeRecord:
    return NodeRecord(
        name=node.name,
        op=node.op,
        domain=node.domain,
        inputs=node.inputs,
        outputs=node.outputs,
        attrs={key: attr_to_json(value, tensors) for key, value in sorted(node.attrs.items())},
    )


def _decode_node(record: NodeRecord, tensors: TensorReader) -> Node:
    return Node(
        name=record.name,
        op=record.op,
        domain=record.domain,
        inputs=record.inputs,
        outputs=record.outputs,
        attrs={key: attr_from_json(value, tensors) for key, value in record.attrs.items()},
    )
