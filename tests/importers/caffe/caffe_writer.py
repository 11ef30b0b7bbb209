"""Write small Caffe models in a test: prototxt text and caffemodel bytes, new and V1 format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Pooling": 17, "Softmax": 20}


def varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(array: np.ndarray, style: str = "shape") -> bytes:
    """Return a BlobProto; styles: shape, legacy (4 dims), unpacked (data item by item), double."""
    array = np.asarray(array, np.float32)
    if style == "legacy":
        dims = [1] * (4 - array.ndim) + list(array.shape)
        head = b"".join(number_field(i + 1, dim) for i, dim in enumerate(dims))
    else:
        head = bytes_field(7, bytes_field(1, b"".join(varint(dim) for dim in array.shape)))
    if style == "unpacked":
        items = (varint(5 << 3 | 5) + struct.pack("<f", v) for v in array.ravel())
        return head + b"".join(items)
    if style == "double":
        return head + bytes_field(8, array.astype("<f8").tobytes())
    return head + bytes_field(5, array.astype("<f4").tobytes())


def layer_message(name: str, layer_type: str, blobs: Sequence[bytes]) -> bytes:
    body = bytes_field(1, name.encode()) + bytes_field(2, layer_type.encode())
    return bytes_field(100, body + b"".join(bytes_field(7, data) for data in blobs))


def v1_layer_message(name: str, layer_type: str, blobs: Sequence[bytes]) -> bytes:
    body = bytes_field(4, name.encode()) + number_field(5, V1_TYPES[layer_type])
    return bytes_field(2, body + b"".join(bytes_field(6, data) for data in blobs))


@dataclass
class CaffeModel:
    """A net with one input ``data`` unless told otherwise; ``add`` appends layers in order."""

    shape: Sequence[int] = (1, 3, 8, 8)
    text: str = ""
    weights: bytes = b""
    style: str = "shape"
    inputs: dict[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = {"data": self.shape, **self.inputs}
        for name, shape in self.inputs.items():
            dims = " ".join(f"dim: {dim}" for dim in shape)
            self.text += (
                f'layer {{ name: "{name}" type: "Input" top: "{name}" '
                f"input_param {{ shape {{ {dims} }} }} }}\n"
            )

    def add(
        self,
        layer_type: str,
        params: str = "",
        blobs: Sequence[np.ndarray] = (),
        *,
        name: str = "y",
        bottoms: Sequence[str] = ("data",),
        tops: Sequence[str] | None = None,
    ) -> CaffeModel:
        wiring = "".join(f' bottom: "{bottom}"' for bottom in bottoms)
        wiring += "".join(f' top: "{top}"' for top in ([name] if tops is None else tops))
        self.text += f'layer {{ name: "{name}" type: "{layer_type}"{wiring} {params} }}\n'
        encoded = [blob(array, self.style) for array in blobs]
        self.weights += layer_message(name, layer_type, encoded)
        return self
