"""A compressed model as a standard ONNX file, which gives the same integers in any runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tf2.errors import EngineError
from tf2.execution import to_onnx
from tf2.ir import Graph, Node, verify
from tf2.ir.integer_ops import DOMAIN
from tf2.model_file import CompressedModel, atomic_write, read_model

InputKind = Literal["float", "features"]


def export_onnx(
    model: str | Path | CompressedModel,
    path: str | os.PathLike[str],
    *,
    inputs: InputKind = "float",
) -> int:
    """Write the model as ONNX, whole or not at all, and return the size in bytes.

    Args:
        model: A compressed model or its file.
        path: Of the ONNX file.
        inputs: "float" takes what the float model took; "features" takes the bytes that the array
            reads, as uint8 (an image's own pixels, where the preprocessing was folded in).

    Raises:
        EngineError: The inputs cannot be bytes, or the file cannot be written.
        ModelFileError: The ``.tf2`` file cannot be read.
    """
    compressed = model if isinstance(model, CompressedModel) else read_model(model)
    graph = compressed.graph
    if inputs == "features":
        graph = with_feature_inputs(graph)
    content = to_onnx(graph).SerializeToString()
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror or error}") from error
    return len(content)


def with_feature_inputs(graph: Graph) -> Graph:
    """Return the integer graph from the bytes on: what quantizes its inputs is cut off.

    Raises:
        EngineError: An input is also read in float, so bytes alone would not do.
    """
    front = _host_front(graph)
    entries = [node for node in front if node.kind == f"{DOMAIN}.Quantize"]
    if not entries:
        raise EngineError(f"no input of {graph.name!r} is quantized: it has no feature inputs")
    gone = _ancestors(graph, entries)
    rest = [node for node in graph.nodes if node.name not in gone]
    new_inputs = tuple(node.output for node in entries)
    written = {name for node in rest for name in node.outputs}
    known = {*new_inputs, *graph.constants, *written, ""}
    needed = [name for node in rest for name in node.inputs if name not in known]
    if needed:
        raise EngineError(
            f"{needed[0]!r} is also read in float on the host: the inputs of {graph.name!r} cannot "
            "be bytes. Export with --input float"
        )
    used = {*new_inputs, *graph.outputs, *(n for x in rest for n in (*x.inputs, *x.outputs))}
    return verify(
        Graph(
            name=graph.name,
            inputs=new_inputs,
            outputs=graph.outputs,
            nodes=tuple(rest),
            types={name: kind for name, kind in graph.types.items() if name in used},
            constants={name: data for name, data in graph.constants.items() if name in used},
            batch_is_free=graph.batch_is_free,
        )
    )


def _host_front(graph: Graph) -> list[Node]:
    """Return the nodes that inputs reach before anything on the array, Quantize included."""
    reached = set(graph.inputs)
    front: list[Node] = []
    for node in graph.nodes:
        operands = [n for n in node.inputs if n and n not in graph.constants]
        if not operands or not all(name in reached for name in operands):
            continue
        front.append(node)
        if node.domain != DOMAIN:
            reached.update(node.outputs)
    return front


def _ancestors(graph: Graph, nodes: list[Node]) -> set[str]:
    """Return the names of these nodes and of all that lead to them and to nothing else."""
    gone = {node.name for node in nodes}
    for node in reversed(graph.nodes):
        users = [user.name for out in node.outputs for user in graph.users.get(out, ())]
        if (
            users
            and all(name in gone for name in users)
            and not set(node.outputs) & {*graph.outputs}
        ):
            gone.add(node.name)
    return gone
