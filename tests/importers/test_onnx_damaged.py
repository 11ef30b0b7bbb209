"""Damaged models: thousands of them, and nothing but a Tf2Error ever comes out."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from onnx_models import conv

from tf2.errors import Tf2Error
from tf2.importers.onnx import read_onnx

DATA = Path(onnx.__file__).parent / "backend/test/data"

ODD_SIZES = (-(2**31), -1, 0, 1, 2, 3, 5, 17, 2**31 - 1)
ODD_TEXTS = ("", "x", "y", "Relu", "Conv", "Loop", "Reshape", "0", "1")


def _bases() -> list[bytes]:
    folders = ("pytorch-operator", "pytorch-converted")
    files = [f for folder in folders for f in sorted((DATA / folder).glob("*/model.onnx"))]
    models = [conv(("N", 3, 8, 8)).SerializeToString()]
    for file in files:
        model = onnx.load_model(file)
        if model.ByteSize() < 4000:
            try:
                models.append(onnx.version_converter.convert_version(model, 9).SerializeToString())
            except Exception:  # noqa: BLE001 - operators that the converter does not know
                continue
    return [*models, (DATA / "light/light_squeezenet.onnx").read_bytes()]


def _fields(message: Message) -> list[tuple[Message, object]]:
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else (value,):
                found += _fields(inner)
    return found


def _flip(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _lose_a_field(data: bytes, rng: random.Random) -> bytes:
    model = onnx.load_model_from_string(data)
    message, field = rng.choice(_fields(model))
    message.ClearField(field.name)
    return model.SerializeToString()


def _alter_a_field(data: bytes, rng: random.Random) -> bytes:
    model = onnx.load_model_from_string(data)
    message, field = rng.choice(_fields(model))
    value = getattr(message, field.name)
    is_size = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64)
    if field.is_repeated and is_size:
        value[rng.randrange(len(value))] = rng.choice(ODD_SIZES) % 2**31
    elif field.is_repeated:
        del value[rng.randrange(len(value))]
    elif is_size:
        setattr(message, field.name, rng.choice(ODD_SIZES))
    elif field.type == field.TYPE_STRING:
        setattr(message, field.name, rng.choice(ODD_TEXTS))
    return model.SerializeToString()


@pytest.mark.parametrize("damage", [_flip, _cut, _lose_a_field, _alter_a_field])
def test_only_our_errors_come_out(damage, tmp_path):
    rng = random.Random(damage.__name__)
    path = tmp_path / "damaged.onnx"
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bases = _bases()
    for index in range(600):
        try:
            data = damage(bases[index % len(bases)], rng)
        except (DecodeError, ValueError):
            continue
        path.write_bytes(data)
        try:
            read_onnx(path)
        except Tf2Error:
            refused += 1
    assert refused > 100
