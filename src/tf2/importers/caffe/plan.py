"""Decide which layers of a net are converted: inputs, outputs, and all that lies between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral

from tf2.errors import ImportModelError
from tf2.importers.caffe.net import Layer, Net
from tf2.importers.caffe.params import MAX_AXES, MAX_INT

# Layers that compute losses and scores from labels, or nothing at all.
TRAINING_ONLY = frozenset(
    "Accuracy ContrastiveLoss DetectionEvaluate EuclideanLoss HDF5Output HingeLoss InfogainLoss "
    "MultiBoxLoss MultinomialLogisticLoss SigmoidCrossEntropyLoss Silence SmoothL1Loss "
    "SoftmaxWithLoss".split()
)
# Layers that read files or memory of the training program.
DATA_SOURCES = frozenset(
    "AnnotatedData Data DummyData HDF5Data ImageData MemoryData WindowData".split()
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes the ONNX graph.

    Attributes:
        name: The net's name.
        inputs: Shapes by input name, as far as the layers need them; all of one batch size.
        layers: In order; every bottom is an input or a top of a layer before it.
        outputs: Blob names.
        dropped: Layers left out because they exist for training only.
    """

    name: str
    inputs: dict[str, tuple[int, ...]]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    dropped: tuple[Layer, ...]


@dataclass(kw_only=True)
class _Sorted:
    """The layers by what happens to them, and where blobs come from."""

    inputs: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    dropped: list[Layer] = field(default_factory=list)
    unavailable: dict[str, Layer] = field(default_factory=dict)


def make_plan(
    net: Net, input_shapes: Mapping[str, Sequence[int]], outputs: Sequence[str] | None
) -> Plan:
    """Return the part of the net that the outputs need.

    Raises:
        ImportModelError: An input has no shape, an output does not exist, or no output is left.
    """
    parts = _sort_layers(net, input_shapes)
    _check_wiring(parts)
    wanted = tuple(outputs) if outputs is not None else _unused_blobs(parts)
    _check_outputs(wanted, parts)
    layers, needed = _needed_layers(parts, wanted)
    inputs = {
        name: _checked_shape(name, input_shapes.get(name, shape))
        for name, shape in parts.inputs.items()
        if name in needed
    }
    _check_inputs(inputs, input_shapes, parts)
    return Plan(
        name=net.name,
        inputs=inputs,
        layers=tuple(layers),
        outputs=wanted,
        dropped=tuple(parts.dropped),
    )


def _sort_layers(net: Net, input_shapes: Mapping[str, Sequence[int]]) -> _Sorted:
    parts = _Sorted(inputs=dict(net.inputs))
    for layer in net.layers:
        if layer.type == "Input":
            parts.inputs.update(_input_layer(layer))
        elif layer.type in DATA_SOURCES:
            parts.inputs.update({top: None for top in layer.tops if top in input_shapes})
            parts.unavailable.update({top: layer for top in layer.tops if top not in input_shapes})
        elif layer.type in TRAINING_ONLY:
            parts.dropped.append(layer)
            parts.unavailable.update(dict.fromkeys(layer.tops, layer))
        else:
            parts.layers.append(layer)
    return parts


def _input_layer(layer: Layer) -> dict[str, tuple[int, ...] | None]:
    params = layer.params("input_param")
    params.check_known({"shape"}, ())
    shapes = [tuple(shape) for shape in params.shapes("shape")]
    if len(shapes) not in (0, 1, len(layer.tops)):
        raise layer.error(
            f"it has {len(layer.tops)} tops and {len(shapes)} shapes; give 1 shape, or 1 a top",
            "Correct the prototxt.",
        )
    if len(shapes) <= 1:
        return dict.fromkeys(layer.tops, shapes[0] if shapes else None)
    return dict(zip(layer.tops, shapes, strict=True))


def _check_wiring(parts: _Sorted) -> None:
    """Refuse a blob with two producers; a missing one matters only where it is needed."""
    produced = set(parts.inputs)
    for layer in parts.layers:
        if len(set(layer.tops)) != len(layer.tops):
            raise layer.error(f"its tops {layer.tops} repeat a name", "Correct the prototxt.")
        for top in layer.tops:
            if top in produced and top not in layer.bottoms:
                raise layer.error(
                    f"its top {top!r} is also made by a layer before it", "Rename one of the two."
                )
        produced.update(layer.tops)


def _unused_blobs(parts: _Sorted) -> tuple[str, ...]:
    """Return the tops that no layer uses, as Caffe finds a net's outputs."""
    unused: dict[str, None] = {}
    for layer in parts.layers:
        for bottom in layer.bottoms:
            unused.pop(bottom, None)
        unused.update(dict.fromkeys(layer.tops))
    return tuple(unused)


def _check_outputs(wanted: Sequence[str], parts: _Sorted) -> None:
    tops = {top for layer in parts.layers for top in layer.tops}
    if not wanted:
        dropped = ", ".join(f"{layer.name!r} ({layer.type})" for layer in parts.dropped) or "none"
        raise ImportModelError(
            "the net has no output: every layer is an input or for training only (left out: "
            f"{dropped}). Give the deploy prototxt"
        )
    for name in wanted:
        if name not in tops:
            raise ImportModelError(
                f"the blob {name!r} asked for in outputs {_why_no_output(name, parts)}; possible "
                f"are {', '.join(sorted(tops)) or 'none'}"
            )
    if len(set(wanted)) != len(wanted):
        raise ImportModelError(f"outputs {list(wanted)} name a blob twice; name each once")


def _why_no_output(name: str, parts: _Sorted) -> str:
    if name in parts.inputs:
        return "is an input"
    source = parts.unavailable.get(name)
    if source is None:
        return "does not exist"
    return f"is made by layer {source.name!r} ({source.type}), which is not part of inference"


def _needed_layers(parts: _Sorted, wanted: Sequence[str]) -> tuple[list[Layer], set[str]]:
    """Return the layers that the wanted blobs depend on, in order, and the input names."""
    needed, layers = dict.fromkeys(wanted), []
    users: dict[str, Layer] = {}
    for layer in reversed(parts.layers):
        if not any(top in needed for top in layer.tops):
            continue
        layers.append(layer)
        for top in layer.tops:
            needed.pop(top, None)
        for bottom in layer.bottoms:
            needed[bottom] = None
            users[bottom] = layer
    for name in needed:
        if name not in parts.inputs:
            raise _missing(users[name], name, parts.unavailable.get(name))
    return layers[::-1], set(needed)


def _missing(user: Layer, name: str, source: Layer | None) -> ImportModelError:
    if source is None:
        return user.error(
            f"its bottom {name!r} is made by no layer before it and is no input",
            "Correct the name, or declare it as an input.",
        )
    if source.type in DATA_SOURCES:
        return user.error(
            f"its bottom {name!r} comes from layer {source.name!r} of type {source.type}, which "
            "reads training data; a network is imported with Input layers",
            "Give the deploy prototxt, or a shape for it: "
            f"input_shapes={{{name!r}: (1, channels, height, width)}}.",
        )
    return user.error(
        f"its bottom {name!r} comes from layer {source.name!r} of type {source.type}, which exists "
        "for training only",
        "Give the deploy prototxt, or cut the network with outputs=[...].",
    )


def _checked_shape(name: str, shape: Sequence[int] | None) -> tuple[int, ...]:
    if shape is None:
        raise ImportModelError(
            f"the input {name!r} has no shape in the prototxt; give "
            f"input_shapes={{{name!r}: (1, channels, height, width)}}"
        )
    dims = tuple(shape)
    are_sizes = all(isinstance(dim, Integral) and 1 <= dim <= MAX_INT for dim in dims)
    if not are_sizes or not 1 <= len(dims) <= MAX_AXES or math.prod(dims) > MAX_INT:
        raise ImportModelError(
            f"the input {name!r} has the shape {dims}; sizes must be integers from 1 and at most "
            "2**31-1 values in all. Correct the prototxt or give input_shapes"
        )
    return tuple(int(dim) for dim in dims)


def _check_inputs(
    inputs: Mapping[str, tuple[int, ...]],
    input_shapes: Mapping[str, Sequence[int]],
    parts: _Sorted,
) -> None:
    unknown = [name for name in input_shapes if name not in parts.inputs]
    if unknown:
        raise ImportModelError(
            f"input_shapes names {unknown}, which are no inputs; the inputs are "
            f"{', '.join(parts.inputs) or 'none'}"
        )
    if len({shape[0] for shape in inputs.values()}) > 1:
        raise ImportModelError(
            f"the inputs have different batch sizes, {dict(inputs)}; one batch size is supported. "
            "Give input_shapes with the same first number"
        )
