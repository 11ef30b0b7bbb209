"""Read the learned arrays out of a caffemodel, by layer name.

Of the four messages in the file only these fields are needed (everything else is what the
prototxt says better):

    NetParameter      layers = 2 (V1LayerParameter), layer = 100 (LayerParameter)
    V1LayerParameter  layer = 1 (V0, refused), name = 4, blobs = 6
    LayerParameter    name = 1, blobs = 7
    BlobProto         num, channels, height, width = 1..4 (legacy), data = 5, shape = 7,
                      double_data = 8, raw_data = 12 (NVCaffe half precision, refused)
    BlobShape         dim = 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tf2.errors import ImportModelError
from tf2.importers.caffe.params import MAX_AXES
from tf2.importers.caffe.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    FieldBudget,
    as_int64,
    read_fields,
    read_varint,
)

MAX_BYTES = 2 << 30  # protobuf's own limit

_V1_LAYERS, _LAYERS = 2, 100
_V0_LAYER, _RAW_DATA = 1, 12


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """The arrays of one layer of the caffemodel, float32, in Caffe's order."""

    name: str
    blobs: tuple[np.ndarray, ...]


def read_weights(data: bytes) -> dict[str, LayerWeights]:
    """Return the layers that have arrays, by name; each array's size fits its declared shape.

    Raises:
        ImportModelError: The bytes are no caffemodel, or two layers with arrays share a name.
    """
    if len(data) > MAX_BYTES:
        raise ImportModelError(f"caffemodel has {len(data)} bytes; at most {MAX_BYTES} are read")
    budget = FieldBudget()
    layers: dict[str, LayerWeights] = {}
    for field in read_fields(memoryview(data), budget):
        if field.number not in (_V1_LAYERS, _LAYERS):
            continue
        layer = _read_layer(field.bytes(), budget, is_v1=field.number == _V1_LAYERS)
        if not layer.blobs:
            continue
        if layer.name in layers:
            raise ImportModelError(
                f"caffemodel has two layers named {layer.name!r} with weights; names must be "
                "unique there. Rename one in the training net and save it again"
            )
        layers[layer.name] = layer
    return layers


def _read_layer(data: memoryview, budget: FieldBudget, *, is_v1: bool) -> LayerWeights:
    name_field, blobs_field = (4, 6) if is_v1 else (1, 7)
    name, encoded = "", []
    for field in read_fields(data, budget):
        if field.number == name_field:
            name = field.text()
        elif field.number == blobs_field:
            encoded.append(field.bytes())
        elif is_v1 and field.number == _V0_LAYER:
            raise ImportModelError(
                "caffemodel is in the V0 format of 2013; only 'layers' (V1) and 'layer' are read. "
                "Convert it with Caffe's upgrade_net_proto_binary"
            )
    where = f"caffemodel layer {name!r}"
    blobs = tuple(_read_blob(blob, budget, f"{where}, blob {i}") for i, blob in enumerate(encoded))
    return LayerWeights(name=name, blobs=blobs)


def _read_blob(data: memoryview, budget: FieldBudget, where: str) -> np.ndarray:
    shape: list[int] | None = None
    legacy: dict[int, int] = {}
    parts: list[np.ndarray] = []
    for field in read_fields(data, budget):
        if field.number in (1, 2, 3, 4):
            legacy[field.number] = field.signed()
        elif field.number == 5:
            parts.append(_floats(field, FIXED32, "<f4", where))
        elif field.number == 8:
            parts.append(_floats(field, FIXED64, "<f8", where))
        elif field.number == 7:
            shape = _read_shape(field.bytes(), budget, where)
        elif field.number == _RAW_DATA:
            raise ImportModelError(
                f"{where} holds NVCaffe raw (half precision) data; only float and double data are "
                "read. Save the net with float storage"
            )
    if len({part.dtype for part in parts}) > 1:
        raise ImportModelError(f"{where} has both float and double data; the file is damaged")
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if shape is None:
        shape = [legacy.get(i, 1) for i in (1, 2, 3, 4)] if legacy else [len(values)]
    _check_shape(shape, len(values), where)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf, refused when used
        return values.astype(np.float32, copy=False).reshape(shape)


def _floats(field: Field, scalar_type: int, dtype: str, where: str) -> np.ndarray:
    is_float = field.wire_type in (BYTES, scalar_type) and isinstance(field.value, memoryview)
    item_bytes = np.dtype(dtype).itemsize
    if not is_float or len(field.value) % item_bytes:  # type: ignore[arg-type]
        raise ImportModelError(
            f"{where} has data that is no whole number of {8 * item_bytes}-bit floats; "
            "the file is damaged"
        )
    return np.frombuffer(field.value, dtype=dtype)  # type: ignore[arg-type]


def _read_shape(data: memoryview, budget: FieldBudget, where: str) -> list[int]:
    dims: list[int] = []
    for field in read_fields(data, budget):
        if field.number != 1:
            continue
        if field.wire_type == VARINT:
            dims.append(field.signed())
        else:
            dims.extend(_packed(field.bytes(), budget))
        if len(dims) > MAX_AXES:
            raise ImportModelError(
                f"{where} has more than {MAX_AXES} axes, Caffe's limit; the file is damaged"
            )
    return dims


def _packed(data: memoryview, budget: FieldBudget) -> list[int]:
    values, position = [], 0
    while position < len(data) and len(values) <= MAX_AXES:
        budget.spend()
        value, position = read_varint(data, position)
        values.append(as_int64(value))
    return values


def _check_shape(shape: list[int], count: int, where: str) -> None:
    if any(dim < 0 for dim in shape):
        raise ImportModelError(f"{where} declares the negative shape {shape}; the file is damaged")
    if math.prod(shape) != count:
        raise ImportModelError(
            f"{where} declares the shape {shape}, {math.prod(shape)} values, and holds {count}; "
            "the file is truncated or was saved without weights"
        )
