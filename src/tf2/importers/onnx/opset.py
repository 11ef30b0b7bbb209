"""Any opset from 7 on -> opset 21."""

from __future__ import annotations

import onnx
from onnx import defs, helper, inliner, shape_inference, version_converter

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.ir import OPSET

OLDEST = 7

ONNX_DOMAINS = ("", "ai.onnx")

DOMAINS = (*ONNX_DOMAINS, "com.microsoft")


def at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every default-domain operator as opset 21 defines it.

    Later versions of an operator differ from the one at opset 21 in the element types they take
    and in attributes that have a default (reviewed up to opset 28); a node that sets such an
    attribute is refused. Operators that are younger are written out if ONNX defines them by older
    ones.

    Raises:
        UnsupportedOpError: An operator that opset 21 cannot express; names the node.
        ImportModelError: The model's opset is unknown or cannot be converted.
    """
    version = opset_version(model)
    if version == OPSET:
        return model
    if version < OPSET:
        return _raised(model, version)
    model = _written_out(model)
    for node in model.graph.node:
        if node.domain in ONNX_DOMAINS:
            _lower(node, version)
    for opset in model.opset_import:
        if opset.domain in ONNX_DOMAINS:
            opset.version = OPSET
    return model


def opset_version(model: onnx.ModelProto) -> int:
    """Return the model's version of the ONNX domain.

    Raises:
        ImportModelError: There is none, or it is too old or too new.
    """
    versions = {o.version for o in model.opset_import if o.domain in ONNX_DOMAINS}
    newest = defs.onnx_opset_version()
    if len(versions) != 1:
        raise ImportModelError(f"the model must name one ONNX opset; it names {sorted(versions)}")
    version = versions.pop()
    if not OLDEST <= version <= newest:
        raise ImportModelError(
            f"the model is written for ONNX opset {version}; opsets {OLDEST} to {newest} are read. "
            f"Export it again, at opset {OPSET}."
        )
    return version


def _raised(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter's C++ errors share no public base
        raise ImportModelError(
            f"opset {version} cannot be converted to {OPSET}: {error}. "
            f"Export the model at opset {OPSET}."
        ) from error


def _written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace operators younger than opset 21 by the older ones that define them."""
    names = {node.op_type for node in model.graph.node if node.domain in ONNX_DOMAINS}
    young = sorted(name for name in names if not _exists(name))
    if not young:
        return model
    try:
        typed = shape_inference.infer_shapes(model)
        return inliner.inline_selected_functions(
            typed, [("", name) for name in young], exclude=False, inline_schema_functions=True
        )
    except Exception as error:  # C++ errors share no public base
        raise ImportModelError(f"{young[0]} cannot be written out: {error}") from error


def _exists(op: str) -> bool:
    try:
        defs.get_schema(op, OPSET, "")
    except defs.SchemaError:
        return False
    return True


def _lower(node: onnx.NodeProto, version: int) -> None:
    """Make a node of a later opset one of opset 21, or say why it cannot be."""
    reason = _difference(node, version)
    if reason:
        raise UnsupportedOpError(
            node=node.name,
            op=node.op_type,
            reason=reason,
            hint=f"Export the model at opset {OPSET}.",
        )
    kept = [a for a in node.attribute if a.name in defs.get_schema(node.op_type, OPSET).attributes]
    if len(kept) != len(node.attribute):
        del node.attribute[:]
        node.attribute.extend(kept)


def _difference(node: onnx.NodeProto, version: int) -> str | None:
    """Say what of a node opset 21 does not know; None when it means the same there."""
    if not _exists(node.op_type):
        return f"the operator does not exist at opset {OPSET}"
    ours = defs.get_schema(node.op_type, OPSET, "")
    theirs = defs.get_schema(node.op_type, version, "")
    for attribute in node.attribute:
        if attribute.name in ours.attributes:
            continue
        declared = theirs.attributes.get(attribute.name)
        if declared is None or not _is_default(attribute, declared.default_value):
            return f"opset {OPSET} has no attribute {attribute.name!r}"
    if len(node.input) > ours.max_input or len(node.output) > ours.max_output:
        return f"opset {OPSET} knows {ours.max_input} inputs and {ours.max_output} outputs"
    return None


def _is_default(attribute: onnx.AttributeProto, default: onnx.AttributeProto) -> bool:
    known = default.type != onnx.AttributeProto.UNDEFINED
    return known and helper.get_attribute_value(attribute) == helper.get_attribute_value(default)
