"""ModelProto at opset 21 -> Draft."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.onnx.draft import Draft, Input
from tf2.importers.onnx.tensors import densified, tensor_array
from tf2.ir import Node, Plain
from tf2.ir.dtypes import PLAIN
from tf2.ir.graph import Attr

MEANING_OF_KIND = {
    AttributeProto.GRAPH: "a subgraph (control flow)",
    AttributeProto.GRAPHS: "subgraphs (control flow)",
    AttributeProto.TYPE_PROTO: "a type",
    AttributeProto.TYPE_PROTOS: "types",
    AttributeProto.SPARSE_TENSORS: "sparse tensors",
    AttributeProto.TENSORS: "a list of tensors",
}


def parse(model: onnx.ModelProto, *, name: str) -> Draft:
    """Return the network of a model whose operators are at opset 21, with unique, stable names.

    Raises:
        UnsupportedOpError: An operator with a subgraph or of an element type we do not hold.
        ImportModelError: A tensor or an input is not usable.
    """
    graph = model.graph
    constants = {t.name: tensor_array(t, what=f"initializer {t.name!r}") for t in graph.initializer}
    constants |= {t.values.name: densified(t) for t in graph.sparse_initializer}
    nodes: list[Node] = []
    names = _Names()
    for index, proto in enumerate(graph.node):
        node = _node(proto, names.unique(proto.name or f"{proto.op_type}_{index}"))
        value = _constant_value(node)
        if value is None:
            nodes.append(node)
        else:
            constants[node.output] = value
    draft = Draft(
        name=name,
        inputs={v.name: _input(v) for v in graph.input if v.name not in constants},
        outputs=tuple(v.name for v in graph.output),
        nodes=tuple(nodes),
        constants=constants,
    )
    return _without_tildes(draft)


class _Names:
    """Gives each node a name of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _input(value: onnx.ValueInfoProto) -> Input:
    if value.type.WhichOneof("value") != "tensor_type":
        kind = (value.type.WhichOneof("value") or "untyped").removesuffix("_type")
        raise ImportModelError(
            f"input {value.name!r} is a {kind}; only tensors can be read. "
            f"Export the model with one input for each tensor."
        )
    tensor = value.type.tensor_type
    dtype = plain_type(tensor.elem_type, what=f"input {value.name!r}")
    if not tensor.HasField("shape"):
        return Input(dtype, None)
    # Exporters write open axes as a symbol, as nothing, as 0 or as -1.
    return Input(dtype, tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim))


def plain_type(elem_type: int, *, what: str) -> Plain:
    """Return the element type of an ONNX code, or say which ones are held."""
    try:
        name = TensorProto.DataType.Name(elem_type).lower()
    except ValueError:
        name = f"type {elem_type}"
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name not in PLAIN:
        raise ImportModelError(
            f"{what} has elements of {name}; allowed are {', '.join(PLAIN)}. "
            f"Export the model in float32."
        )
    return Plain(name)


def _node(proto: onnx.NodeProto, name: str) -> Node:
    attrs = {a.name: _attr(proto, a) for a in proto.attribute}
    return Node(
        name=name,
        op=proto.op_type,
        domain="" if proto.domain == "ai.onnx" else proto.domain,
        inputs=_without_trailing_blanks(tuple(proto.input)),
        outputs=_without_trailing_blanks(tuple(proto.output)),
        attrs=attrs,
    )


def _without_trailing_blanks(names: tuple[str, ...]) -> tuple[str, ...]:
    while names and not names[-1]:
        names = names[:-1]
    return names


def _attr(node: onnx.NodeProto, attribute: AttributeProto) -> Attr:
    where = f"attribute {attribute.name!r} of {node.op_type} node {node.name!r}"
    if attribute.type in MEANING_OF_KIND or attribute.ref_attr_name:
        raise UnsupportedOpError(
            node=node.name,
            op=node.op_type,
            reason=f"attribute {attribute.name!r} holds "
            f"{MEANING_OF_KIND.get(attribute.type, 'a reference')}, which a graph cannot hold",
            hint="Export the model without control flow (fixed input shapes often remove it).",
        )
    if attribute.type == AttributeProto.TENSOR:
        return tensor_array(attribute.t, what=where)
    if attribute.type == AttributeProto.SPARSE_TENSOR:
        return densified(attribute.sparse_tensor)
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.STRING:
        return _text(value, where)
    if attribute.type == AttributeProto.STRINGS:
        return tuple(_text(v, where) for v in value)
    return tuple(value) if isinstance(value, list) or hasattr(value, "__iter__") else value


def _text(value: bytes, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ImportModelError(f"{where} is not text: {value[:20]!r}") from error


def _constant_value(node: Node) -> np.ndarray | None:
    """Return what a Constant node gives."""
    if node.op != "Constant" or node.domain or len(node.attrs) != 1 or len(node.outputs) != 1:
        return None
    ((kind, value),) = node.attrs.items()
    dtype: Mapping[str, type] = {
        "value_int": np.int64,
        "value_ints": np.int64,
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_string": np.object_,
        "value_strings": np.object_,
    }
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, dtype[kind]) if kind in dtype else None


def _without_tildes(draft: Draft) -> Draft:
    """Rename values with "~", which the ONNX writer keeps for the values that it adds."""
    values = {*draft.inputs, *draft.constants, *(n for x in draft.nodes for n in x.outputs)}
    new: dict[str, str] = {}
    for old in sorted(v for v in values if "~" in v):
        name = old.replace("~", "_")
        while name in values:
            name += "_"
        values.add(name)
        new[old] = name
    return renamed(draft, new) if new else draft


def renamed(draft: Draft, new: Mapping[str, str]) -> Draft:
    """Return the draft with values renamed everywhere."""

    def names(old: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new.get(name, name) for name in old)

    return Draft(
        name=draft.name,
        inputs={new.get(name, name): value for name, value in draft.inputs.items()},
        outputs=names(draft.outputs),
        nodes=tuple(
            Node(
                name=node.name,
                op=node.op,
                domain=node.domain,
                inputs=names(node.inputs),
                outputs=names(node.outputs),
                attrs=node.attrs,
            )
            for node in draft.nodes
        ),
        constants={new.get(name, name): value for name, value in draft.constants.items()},
    )
