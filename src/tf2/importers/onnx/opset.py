"""Any opset from 7 on -> opset 21."""

from __future__ import annotations

import onnx
from onnx import defs, version_converter

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.ir import OPSET

OLDEST = 7

DOMAINS = ("", "ai.onnx", "com.microsoft")


def at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every default-domain operator as opset 21 defines it.

    Raises:
        UnsupportedOpError: An operator that opset 21 cannot express; names the node.
        ImportModelError: The model's opset is unknown or cannot be converted.
    """
    version = _version(model)
    if version == OPSET:
        return model
    if version > OPSET:
        _check_same_at_opset(model, version)
        return _relabelled(model)
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter's C++ errors share no public base
        raise ImportModelError(
            f"opset {version} cannot be converted to {OPSET}: {error}. "
            f"Export the model at opset {OPSET}."
        ) from error


def _version(model: onnx.ModelProto) -> int:
    versions = {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")}
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


def _check_same_at_opset(model: onnx.ModelProto, version: int) -> None:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        reason = _difference(node, version)
        if reason:
            raise UnsupportedOpError(
                node=node.name,
                op=node.op_type,
                reason=f"{reason}",
                hint=f"Export the model at opset {OPSET}.",
            )


def _difference(node: onnx.NodeProto, version: int) -> str | None:
    """Say what of a node opset 21 does not know; None when it means the same there."""
    try:
        ours = defs.get_schema(node.op_type, OPSET, "")
    except defs.SchemaError:
        return f"the operator does not exist at opset {OPSET}"
    theirs = defs.get_schema(node.op_type, version, "")
    if theirs.since_version <= OPSET:
        return None
    unknown = sorted({a.name for a in node.attribute} - set(ours.attributes))
    if unknown:
        return f"opset {OPSET} has no attribute {unknown[0]!r}"
    if len(node.input) > ours.max_input or len(node.output) > ours.max_output:
        return f"opset {OPSET} knows {ours.max_input} inputs and {ours.max_output} outputs"
    return None


def _relabelled(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for opset in copy.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = OPSET
    return copy
