"""If nodes whose condition the input shapes decide: the branch taken replaces the node.

Exporters write them around shape questions ("is axis 1 of size 1?"). The work is done on the
protobuf message, before the opset is raised, because the converter leaves branches as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx

from tf2.errors import UnsupportedOpError
from tf2.importers.onnx.opset import ONNX_DOMAINS

Evaluate = Callable[[onnx.ModelProto], Mapping[str, np.ndarray]]

MAX_BRANCHES = 1000


def without_ifs(model: onnx.ModelProto, evaluate: Evaluate) -> onnx.ModelProto:
    """Return the model, changed in place, with every If replaced by the branch it takes.

    Args:
        model: With any opset.
        evaluate: Returns the values of a model that no input data can change.

    Raises:
        UnsupportedOpError: A condition depends on the input data.
    """
    for count in range(MAX_BRANCHES):
        index = next((i for i, n in enumerate(model.graph.node) if _is_if(n)), None)
        if index is None:
            return model
        _replace(model, index, evaluate, prefix=f"branch{count}/")
    raise UnsupportedOpError(
        node="", op="If", reason=f"there are more than {MAX_BRANCHES}", hint="Unroll the model."
    )


def _is_if(node: onnx.NodeProto) -> bool:
    return node.op_type == "If" and node.domain in ONNX_DOMAINS


def _replace(model: onnx.ModelProto, index: int, evaluate: Evaluate, *, prefix: str) -> None:
    node = model.graph.node[index]
    condition = evaluate(_head(model, index)).get(node.input[0]) if node.input else None
    if condition is None or condition.size != 1:
        raise UnsupportedOpError(
            node=node.name,
            op="If",
            reason="its condition depends on the input data",
            hint="Export the model without control flow (fixed input shapes often remove it).",
        )
    wanted = "then_branch" if condition.reshape(-1)[0] else "else_branch"
    branch = next((a.g for a in node.attribute if a.name == wanted), onnx.GraphProto())
    new = {name: prefix + name for name in _defined(branch)}
    nodes = [_renamed(inner, new, prefix) for inner in branch.node]
    for inner, outer in zip(branch.output, node.output, strict=False):
        nodes.append(
            onnx.helper.make_node(
                "Identity", [new.get(inner.name, inner.name)], [outer], name=f"{prefix}{outer}"
            )
        )
    for tensor in branch.initializer:
        added = model.graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = new[tensor.name]
    everything = [*model.graph.node[:index], *nodes, *model.graph.node[index + 1 :]]
    everything = [_copied(n) for n in everything]
    del model.graph.node[:]
    model.graph.node.extend(everything)


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _head(model: onnx.ModelProto, index: int) -> onnx.ModelProto:
    """Return the part of a model that gives the condition of the node at ``index``."""
    needed = set(model.graph.node[index].input)
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node[:index]):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    head = onnx.ModelProto(ir_version=model.ir_version)
    head.opset_import.extend(model.opset_import)
    head.graph.name = "condition"
    head.graph.node.extend(reversed(kept))
    head.graph.initializer.extend(t for t in model.graph.initializer if t.name in needed)
    stored = {t.name for t in model.graph.initializer}
    head.graph.input.extend(
        v for v in model.graph.input if v.name not in stored or v.name in needed
    )
    head.graph.output.add().name = model.graph.node[index].input[0]
    head.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.BOOL
    return head


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (tensor.name for tensor in graph.initializer)
    yield from (name for node in graph.node for name in node.output if name)


def _renamed(node: onnx.NodeProto, new: Mapping[str, str], prefix: str) -> onnx.NodeProto:
    copy = _copied(node)
    copy.name = prefix + copy.name if copy.name else ""
    for names in (copy.input, copy.output):
        renamed = [new.get(name, name) for name in names]
        del names[:]
        names.extend(renamed)
    for attribute in copy.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            _rename_inside(attribute.g, new)
    return copy


def _rename_inside(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Rename what a nested graph reads from outside."""
    own = set(_defined(graph)) | {value.name for value in graph.input}
    outer = {old: name for old, name in new.items() if old not in own}
    for node in graph.node:
        names = [outer.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(names)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename_inside(attribute.g, outer)
    for value in graph.output:
        value.name = outer.get(value.name, value.name)
