"""A .onnx file or a ModelProto -> a ModelProto that is complete, bounded and well formed."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import external_data_helper, inliner

from tf2.errors import ImportModelError
from tf2.importers.onnx.well_formed import check_well_formed

MAX_FILE_BYTES = 2**31 - 1
"""What one protobuf message can hold."""


def loaded(source: Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with all its weights inside and without local functions.

    Raises:
        ImportModelError: The file is missing, truncated, foreign, too large or malformed.
    """
    model = _copy(source) if isinstance(source, onnx.ModelProto) else _read(Path(source))
    if model.functions:
        model = _inlined(model)
    check_well_formed(model)
    return model


def _copy(source: onnx.ModelProto) -> onnx.ModelProto:
    if any(external_data_helper.uses_external_data(t) for t in source.graph.initializer):
        raise ImportModelError(
            "the model keeps weights in other files; pass the path of its .onnx file instead"
        )
    model = onnx.ModelProto()
    model.CopyFrom(source)
    return model


def _read(path: Path) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise ImportModelError(f"{path} cannot be read: {error.strerror}") from error
    if size > MAX_FILE_BYTES:
        raise ImportModelError(f"{path}: {size} bytes; an ONNX file has at most 2 GiB")
    if not size:
        raise ImportModelError(f"{path} is empty. Copy or export it again")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError has no public base
        raise ImportModelError(f"{path} is truncated or no ONNX model: {error}") from error
    _load_external_data(model, path)
    return model


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    folder = path.resolve().parent
    total = 0
    for tensor in model.graph.initializer:
        if not external_data_helper.uses_external_data(tensor):
            continue
        info = external_data_helper.ExternalDataInfo(tensor)
        file = (folder / info.location).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise ImportModelError(
                f"{path}: initializer {tensor.name!r} lies in {info.location!r}, which is no file "
                f"in the model's folder"
            )
        total += info.length or file.stat().st_size
        if total > MAX_FILE_BYTES:
            raise ImportModelError(f"{path}: external weights take more than 2 GiB")
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # a short or odd file raises anything
            raise ImportModelError(f"{path}: initializer {tensor.name!r}: {error}") from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # C++ errors share no base
        raise ImportModelError(f"its local functions cannot be inlined: {error}") from error
