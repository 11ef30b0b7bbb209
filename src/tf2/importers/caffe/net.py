"""A Caffe net as the prototxt describes it: inputs and the layers of the TEST phase, in order."""

from __future__ import annotations

from dataclasses import dataclass

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.caffe.params import MAX_INT, Params, parse_int
from tf2.importers.caffe.prototxt import Message, Scalar

# V1LayerParameter.LayerType of caffe.proto and what Caffe's upgrade makes of it.
_V1_TYPES = {
    "ABSVAL": "AbsVal", "ACCURACY": "Accuracy", "ARGMAX": "ArgMax", "BNLL": "BNLL",
    "CONCAT": "Concat", "CONTRASTIVE_LOSS": "ContrastiveLoss", "CONVOLUTION": "Convolution",
    "CROP": "Crop", "DATA": "Data", "DECONVOLUTION": "Deconvolution", "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData", "ELTWISE": "Eltwise", "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp", "FLATTEN": "Flatten", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss", "IM2COL": "Im2col", "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss", "INNER_PRODUCT": "InnerProduct", "LRN": "LRN",
    "MEMORY_DATA": "MemoryData", "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN", "POOLING": "Pooling", "POWER": "Power", "RELU": "ReLU", "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "SILENCE": "Silence",
    "SLICE": "Slice", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split",
    "TANH": "TanH", "THRESHOLD": "Threshold", "WINDOW_DATA": "WindowData",
}  # fmt: skip

# Fields of a layer that cannot change what it computes at inference.
_HARMLESS_FIELDS = frozenset(
    "param loss_weight propagate_down phase blobs_lr weight_decay blob_share_mode include exclude "
    "loss_param transform_param".split()
)
_NET_FIELDS = frozenset(
    "name input input_dim input_shape layer layers force_backward state debug_info".split()
)
_WIRING_FIELDS = frozenset(["name", "type", "bottom", "top"])
_TEST = "TEST"
MAX_LAYERS = 20_000  # the deepest published nets have a few thousand


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: its wiring and its parameter blocks, by name, not yet interpreted."""

    name: str
    type: str
    line: int
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blocks: tuple[tuple[str, Message], ...]

    def params(self, block: str | None) -> Params:
        """Return the layer's one parameter block, empty where absent; any other block raises.

        Several blocks of the name are one, as in protobuf.
        """
        fields = []
        for name, message in self.blocks:
            if name != block:
                raise self.error(
                    f"line {message.line}: it has the field {name!r}, which a layer of this type "
                    f"does not take; its parameters are in {block!r}",
                    "Remove the field, or correct the layer's type.",
                )
            fields.extend(message.fields)
        return Params(
            layer=self.name,
            layer_type=self.type,
            block=block or "none",
            message=Message(line=self.line, fields=fields),
        )

    def error(self, reason: str, hint: str) -> UnsupportedOpError:
        """Return the error for this layer; the caller raises it."""
        return UnsupportedOpError(node=self.name, op=self.type, reason=reason, hint=hint)


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net: named inputs with their shapes (None: not said), and layers in order."""

    name: str
    inputs: tuple[tuple[str, tuple[int, ...] | None], ...]
    layers: tuple[Layer, ...]


def read_net(message: Message) -> Net:
    """Return the net of a parsed prototxt, reduced to the TEST phase.

    Raises:
        ImportModelError: The file is no net, or mixes or uses formats Caffe itself does not take.
    """
    current, v1 = message.messages("layer"), message.messages("layers")
    if current and v1:
        raise ImportModelError(
            "prototxt has both 'layer' and 'layers' blocks; a net uses one of them. "
            "Convert it with Caffe's upgrade_net_proto_text"
        )
    if not current and not v1:
        raise ImportModelError(
            "prototxt has no layers; expected a net with 'layer { ... }' blocks. "
            "A solver prototxt is not a net: give the file its 'net' field names"
        )
    for name, value in message.fields:
        if name not in _NET_FIELDS:
            raise ImportModelError(
                f"line {value.line}: a net has no field {name!r}; known are "
                f"{', '.join(sorted(_NET_FIELDS))}. Correct the prototxt"
            )
    if len(current) + len(v1) > MAX_LAYERS:
        raise ImportModelError(f"prototxt has more than {MAX_LAYERS} layers; this is no Caffe net")
    layers = [_read_layer(block) for block in current] + [_read_v1_layer(block) for block in v1]
    blocks = current or v1
    return Net(
        name=(message.strings("name") or [""])[-1],
        inputs=_legacy_inputs(message),
        layers=tuple(
            layer for layer, block in zip(layers, blocks, strict=True) if _is_in_test(block, layer)
        ),
    )


def _read_layer(block: Message) -> Layer:
    return _layer(block, (block.strings("type") or [""])[-1])


def _read_v1_layer(block: Message) -> Layer:
    if block.all("layer"):
        raise ImportModelError(
            f"line {block.line}: prototxt is in the V0 format of 2013; only 'layers' (V1) and "
            "'layer' are read. Convert it with Caffe's upgrade_net_proto_text"
        )
    types = block.all("type")
    if not types or isinstance(types[-1], Message):
        raise ImportModelError(f"line {block.line}: a layer has no type; correct the prototxt")
    if types[-1].quoted or types[-1].text not in _V1_TYPES:
        raise ImportModelError(
            f"line {types[-1].line}: {types[-1].text!r} is no layer type of the V1 format "
            "('layers'); it has upper-case names without quotes. For 'type: \"Convolution\"' the "
            "block is called 'layer'"
        )
    return _layer(block, _V1_TYPES[types[-1].text])


def _layer(block: Message, layer_type: str) -> Layer:
    name = (block.strings("name") or [""])[-1]
    if not name or not layer_type:
        raise ImportModelError(
            f"line {block.line}: a layer has no {'type' if name else 'name'}; correct the prototxt"
        )
    bottoms, tops = block.strings("bottom"), block.strings("top")
    if "" in bottoms or "" in tops:
        raise ImportModelError(
            f"line {block.line}: layer {name!r} has a bottom or top without a name; "
            "correct the prototxt"
        )
    blocks = []
    for key, value in block.fields:
        if key in _HARMLESS_FIELDS or key in _WIRING_FIELDS:
            continue
        if isinstance(value, Scalar):
            raise UnsupportedOpError(
                node=name,
                op=layer_type,
                reason=f"line {value.line}: the field {key!r} of a layer is not understood",
                hint="Remove it if it does not change the result.",
            )
        blocks.append((key, value))
    return Layer(
        name=name,
        type=layer_type,
        line=block.line,
        bottoms=tuple(bottoms),
        tops=tuple(tops),
        blocks=tuple(blocks),
    )


def _is_in_test(block: Message, layer: Layer) -> bool:
    """Apply Caffe's rules for phase TEST, level 0 and no stages (``Net::FilterNet``)."""
    includes, excludes = block.messages("include"), block.messages("exclude")
    if includes and excludes:
        raise layer.error(
            "it has both include and exclude rules; Caffe takes one kind", "Remove one of them."
        )
    if includes:
        return any(_rule_holds(rule, layer) for rule in includes)
    return not any(_rule_holds(rule, layer) for rule in excludes)


def _rule_holds(rule: Message, layer: Layer) -> bool:
    params = Params(
        layer=layer.name, layer_type=layer.type, block="include or exclude", message=rule
    )
    params.check_known({"phase", "min_level", "max_level", "stage", "not_stage"}, ())
    if params.choice("phase", {"TRAIN": 0, "TEST": 1}, _TEST) != _TEST:
        return False
    if (
        params.integer("min_level", 0, low=-MAX_INT) > 0
        or params.integer("max_level", 0, low=-MAX_INT) < 0
    ):
        return False
    return not rule.strings("stage")  # not_stage always holds: there are no stages


def _legacy_inputs(message: Message) -> tuple[tuple[str, tuple[int, ...] | None], ...]:
    names = message.strings("input")
    if "" in names or len(set(names)) != len(names):
        raise ImportModelError(f"prototxt has the inputs {names}; each needs a name of its own")
    dims = [_dim(value) for value in message.all("input_dim")]
    shapes = [
        tuple(_dim(value) for value in shape.all("dim"))
        for shape in message.messages("input_shape")
    ]
    if dims and shapes:
        raise ImportModelError(
            "prototxt has both input_dim and input_shape; remove one of the two forms"
        )
    if dims:
        shapes = [tuple(dims[i : i + 4]) for i in range(0, len(dims), 4)]
    if not shapes:
        return tuple((name, None) for name in names)
    if len(shapes) != len(names) or (dims and len(dims) % 4):
        raise ImportModelError(
            f"prototxt names {len(names)} inputs {names} and gives {len(dims)} input_dim and "
            f"{len(message.messages('input_shape'))} input_shape; each input needs 4 input_dim or "
            "one input_shape"
        )
    return tuple(zip(names, shapes, strict=True))


def _dim(value: Scalar | Message) -> int:
    number = parse_int(value) if isinstance(value, Scalar) else None
    if number is None or not -1 <= number <= MAX_INT:  # 0 and -1 ask for input_shapes, later
        found = value.text[:40] if isinstance(value, Scalar) else "a block"
        raise ImportModelError(
            f"line {value.line}: an input dimension is {found}; it must be an integer from 1. "
            "Correct the prototxt"
        )
    return number
