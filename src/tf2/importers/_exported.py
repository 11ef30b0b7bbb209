"""What every framework's ONNX export needs before the ONNX importer takes over."""

from __future__ import annotations

import onnx

from tf2.errors import ImportModelError

BATCH_AXIS = "N"
OPSET = 18  # torch's exporter is written for it, so nothing is converted; tf2onnx writes it too


def finish_export(model: onnx.ModelProto, *, source: str) -> onnx.ModelProto:
    """Return ``model`` with free axes only where a batch is: axis 0, named ``N``.

    Exporters write stack traces with file paths into the metadata; all of it is removed, so that
    the same network gives the same bytes on every machine. Changes ``model`` in place.

    Args:
        model: An exported model whose inputs have a known rank.
        source: The model as the user named it, for messages.

    Raises:
        ImportModelError: An input has a free axis other than the first.
    """
    _remove_metadata(model)
    batch_symbols = set()
    for value in model.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                continue
            if axis > 0:
                raise ImportModelError(
                    f"{source}: axis {axis} of input {value.name!r} has no fixed size; only the "
                    f"batch (axis 0) may be free. Give the input shape."
                )
            batch_symbols.add(dim.dim_param)
            dim.dim_param = BATCH_AXIS
    for value in model.graph.output:
        _name_batch(value, batch_symbols)
    # Inner shapes are kept only where they are certain; the ONNX importer infers the rest.
    certain = [value for value in model.graph.value_info if _name_inner(value, batch_symbols)]
    del model.graph.value_info[:]
    model.graph.value_info.extend(certain)
    return model


def _name_batch(value: onnx.ValueInfoProto, batch_symbols: set[str]) -> None:
    """Name the free first axis of an output, which TensorFlow gives a symbol of its own."""
    dims = value.type.tensor_type.shape.dim
    if not batch_symbols or not dims or dims[0].HasField("dim_value"):
        return
    if not dims[0].dim_param or dims[0].dim_param.isidentifier():  # not "4*N" of torch
        dims[0].dim_param = BATCH_AXIS


def _name_inner(value: onnx.ValueInfoProto, batch_symbols: set[str]) -> bool:
    """Rename the batch symbol in one value; false when another axis of it is free."""
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value"):
            continue
        if not dim.dim_param or dim.dim_param not in batch_symbols:
            return False
        dim.dim_param = BATCH_AXIS
    return True


def _remove_metadata(model: onnx.ModelProto) -> None:
    graph = model.graph
    model.ClearField("doc_string")
    graph.ClearField("doc_string")
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for item in (model, graph, *graph.node, *values):
        item.ClearField("metadata_props")
    for item in (*graph.node, *values):
        item.ClearField("doc_string")
