"""Turn a Caffe net and its weights into an ONNX model.

Naming: nodes bear the layers' names; a value bears its blob's name. Where layers work in place,
the last version of the blob has the name and the ones before it are ``<blob>/<layer>``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.caffe.context import Blob, GraphBuilder, LayerContext
from tf2.importers.caffe.layers import CONVERTERS, Converter
from tf2.importers.caffe.net import Layer, read_net
from tf2.importers.caffe.plan import Plan, make_plan
from tf2.importers.caffe.prototxt import MAX_BYTES as MAX_PROTOTXT_BYTES
from tf2.importers.caffe.prototxt import parse_prototxt
from tf2.importers.caffe.weights import MAX_BYTES as MAX_CAFFEMODEL_BYTES
from tf2.importers.caffe.weights import LayerWeights, read_weights

OPSET = 21
IR_VERSION = 10
BATCH = "N"

logger = logging.getLogger(__name__)


def read_caffe(
    prototxt: Path,
    caffemodel: Path | None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Return the network as ONNX that computes what Caffe computes in its TEST phase.

    Opset 21, default domain, float32. The batch is symbolic (``N``), all other sizes are fixed.
    Layers that exist for training only (losses, Accuracy, Silence) are left out; the model's
    metadata ``caffe.dropped_layers`` names them.

    Args:
        prototxt: The net, best its deploy file; V1 (``layers``) and current (``layer``) format.
        caffemodel: The weights; None where no layer needs any.
        input_shapes: Shapes by input name, batch first, in place of what the prototxt says. With
            it a data layer of a training net is read as an input, too.
        outputs: Blobs to compute; layers that they do not need are left out. By default the blobs
            that no layer uses.

    Raises:
        ImportModelError: A file cannot be read, is damaged, or does not fit the other.
        UnsupportedOpError: A layer or one of its parameters is not supported.
    """
    try:
        net = read_net(parse_prototxt(_read_file(prototxt, MAX_PROTOTXT_BYTES)))
        plan = make_plan(net, input_shapes or {}, outputs)
    except UnsupportedOpError:
        raise  # it names the layer, and its fields are for callers
    except ImportModelError as error:
        raise ImportModelError(f"{prototxt}: {error}") from error
    try:
        weights = {}
        if caffemodel is not None:
            weights = read_weights(_read_file(caffemodel, MAX_CAFFEMODEL_BYTES))
    except ImportModelError as error:
        raise ImportModelError(f"{caffemodel}: {error}") from error
    return _convert(plan, weights)


def _read_file(path: Path, limit_bytes: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImportModelError(f"cannot be read ({error}); check the path") from error
    if len(data) > limit_bytes:
        raise ImportModelError(
            f"the file is larger than {limit_bytes} bytes, the most that is read"
        )
    return data


def _convert(plan: Plan, weights: Mapping[str, LayerWeights]) -> onnx.ModelProto:
    graph = GraphBuilder()
    last_layer = {top: index for index, layer in enumerate(plan.layers) for top in layer.tops}
    graph.values.reserve([*plan.inputs, *last_layer])
    blobs = {name: Blob(value=name, shape=shape) for name, shape in plan.inputs.items()}
    with_weights: set[str] = set()
    for index, layer in enumerate(plan.layers):
        converter = _converter(layer)
        found = weights.get(layer.name)
        _check_weights(layer, converter, found, with_weights)
        context = LayerContext(
            layer=layer,
            params=layer.params(converter.block),
            bottoms=tuple(blobs[name] for name in layer.bottoms),
            weights=None if found is None else found.blobs,
            graph=graph,
        )
        context.params.check_known(converter.accepts, converter.ignores)
        tops = converter.convert(context)
        names = [
            top
            if last_layer[top] == index and top not in plan.inputs
            else graph.values.unique(f"{top}/{layer.name}")
            for top in layer.tops
        ]
        blobs.update(zip(layer.tops, _add_nodes(context, tops, names), strict=True))
    return _model(plan, graph, [(name, blobs[name]) for name in plan.outputs])


def _converter(layer: Layer) -> Converter:
    converter = CONVERTERS.get(layer.type)
    if converter is None:
        raise layer.error(
            f"this layer type is not supported; supported are {', '.join(sorted(CONVERTERS))}",
            f"Cut the network before it with outputs={list(layer.bottoms)!r}, or replace the layer "
            "by supported ones.",
        )
    for kind, names, (low, high) in (
        ("bottoms", layer.bottoms, converter.bottoms),
        ("tops", layer.tops, converter.tops),
    ):
        if not low <= len(names) <= high:
            allowed = (
                f"{low}" if low == high else f"{low} or more" if high > 9 else f"{low} to {high}"
            )
            raise layer.error(
                f"it has {len(names)} {kind}; supported is {allowed}", "Correct the prototxt."
            )
    return converter


def _check_weights(
    layer: Layer, converter: Converter, found: LayerWeights | None, seen: set[str]
) -> None:
    if found is None:
        return
    if not converter.has_weights:
        raise layer.error(
            f"the caffemodel has {len(found.blobs)} arrays for it, a layer of this type has none",
            "Check that the caffemodel belongs to this prototxt.",
        )
    if layer.name in seen:
        raise layer.error(
            "two layers with weights bear this name, so their weights cannot be told apart",
            "Give each layer its own name in prototxt and caffemodel.",
        )
    seen.add(layer.name)


def _add_nodes(context: LayerContext, tops: Sequence[Blob], names: Sequence[str]) -> list[Blob]:
    """Move the layer's nodes into the graph, their results under the blobs' names."""
    produced = {value for node in context.nodes for value in node.output}
    results = [
        top.value if top.value in produced else context.node("Identity", top.value)  # a constant
        for top in tops
    ]
    rename = dict(zip(results, names, strict=True))
    for node in context.nodes:
        node.input[:] = [rename.get(value, value) for value in node.input]
        node.output[:] = [rename.get(value, value) for value in node.output]
        is_last = node is context.nodes[-1]
        name = context.layer.name if is_last else f"{context.layer.name}/{node.op_type}"
        node.name = context.graph.node_names.unique(name)
    context.graph.nodes.extend(context.nodes)
    return [replace(top, value=name) for top, name in zip(tops, names, strict=True)]


def _model(plan: Plan, graph: GraphBuilder, outputs: Sequence[tuple[str, Blob]]) -> onnx.ModelProto:
    inputs = [(name, Blob(value=name, shape=shape)) for name, shape in plan.inputs.items()]
    proto = helper.make_graph(
        graph.nodes,
        plan.name or "caffe",
        [_value_info(blob) for _, blob in inputs],
        [_value_info(blob) for _, blob in outputs],
        graph.initializers,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tf2",
    )
    if plan.dropped:
        dropped = ", ".join(f"{layer.name} ({layer.type})" for layer in plan.dropped)
        logger.info("left out, for training only: %s", dropped)
        helper.set_model_props(model, {"caffe.dropped_layers": dropped})
    return model


def _value_info(blob: Blob) -> onnx.ValueInfoProto:
    shape: list[int | str] = list(blob.shape)
    if blob.batched:
        shape[0] = BATCH
    return helper.make_tensor_value_info(blob.value, TensorProto.FLOAT, shape)
