"""Reading ``.npy`` and ``.npz`` files without trusting them.

Never unpickles, checks the size a header claims against the bytes that are there before anything
is allocated, and maps ``.npy`` files instead of loading them.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tf2.data.images import ZIP_ERRORS, reason_of
from tf2.errors import DataError

MAX_ARRAY_BYTES = 8 << 30  # of one array in an .npz, which is loaded whole
_HEADER_BYTES = 10_000  # NumPy's own bound for literal_eval
_KINDS = "biuf"  # bool, signed, unsigned, float
_EXACT_IN_FLOAT32 = 1 << 24


def read_npy(path: str | Path) -> NDArray:
    """Return the array of an ``.npy`` file, mapped read-only: it is read where it is used.

    Raises:
        DataError: Missing, truncated or damaged, or neither numbers nor bools.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size, str(path))
        return npy.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable .npy file: {reason_of(error)}") from error


def npz_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array in an ``.npz`` file, in the file's order, from the headers.

    Raises:
        DataError: As ``read_npy``.
    """
    shapes = {}
    with _opened(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                shapes[info.filename.removesuffix(".npy")] = _member_header(archive, info)[0]
    if not shapes:
        raise DataError(f"{path}: holds no arrays. Write it with numpy.savez(path, name=array)")
    return shapes


def read_npz(path: str | Path, key: str) -> NDArray:
    """Return one array of an ``.npz`` file, in memory.

    Raises:
        DataError: As ``read_npy``; or there is no such key, and the message lists those there are.
    """
    shapes = npz_shapes(path)
    if key not in shapes:
        raise DataError(f"{path}: no array {key!r}. It holds {list_arrays(shapes)}")
    with _opened(path) as archive:
        name = f"{path}[{key}]"
        try:
            with archive.open(f"{key}.npy") as file:
                return npy.read_array(file, allow_pickle=False, max_header_size=_HEADER_BYTES)
        except (*ZIP_ERRORS, MemoryError) as error:
            raise DataError(f"{name}: cannot be read: {reason_of(error)}") from error


def list_arrays(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return ``x (100, 32, 32, 3), y (100,)`` for a message."""
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def as_float32(array: NDArray, name: str) -> NDArray[np.float32]:
    """Return ``array`` as finite float32 with the same values, in memory of its own.

    Raises:
        DataError: A value is NaN or infinite, or an integer that float32 cannot hold exactly.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf, and is reported
            result = np.array(array, np.float32, order="C")
        bad = np.count_nonzero(~np.isfinite(result))
        if bad:
            raise DataError(f"{name}: {bad} of {array.size} values are NaN or infinite in float32")
        return result
    if array.size and array.dtype.itemsize > 2:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > _EXACT_IN_FLOAT32:
            raise DataError(f"{name}: integers of {low}..{high}; float32 is exact to +-2**24 only")
    return np.array(array, np.float32, order="C")


def _opened(path: str | Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise DataError(f"{path}: not a readable .npz file: {reason_of(error)}") from error


def _member_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple, np.dtype]:
    name = f"{archive.filename}[{info.filename.removesuffix('.npy')}]"
    if info.file_size > MAX_ARRAY_BYTES:
        raise DataError(f"{name}: {info.file_size} bytes, more than {MAX_ARRAY_BYTES}. Use a .npy")
    try:
        with archive.open(info) as file:
            return _check_header(file, info.file_size, name)
    except ZIP_ERRORS as error:
        raise DataError(f"{name}: cannot be read: {reason_of(error)}") from error


def _check_header(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return (shape, dtype) of an array of numbers whose ``size`` bytes are all there."""
    shape, dtype = _parse_header(file, name)
    if dtype.kind not in _KINDS:
        what = "pickled Python objects" if dtype.hasobject else f"values of type {dtype}"
        raise DataError(f"{name}: holds {what}. Only numbers are read; save it as float32 or uint8")
    present, claimed = size - file.tell(), math.prod(shape) * dtype.itemsize
    if present < claimed:
        raise DataError(f"{name}: truncated: {present} bytes of data where {shape} needs {claimed}")
    return shape, dtype


def _parse_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        version = npy.read_magic(file)
        read = readers.get(version)
        shape, _, dtype = read(file, max_header_size=_HEADER_BYTES) if read else ((), False, None)
    except Exception as error:  # NumPy's parser lets tokenize and literal_eval fail as they please
        raise DataError(f"{name}: not a readable NumPy header: {reason_of(error)}") from error
    if dtype is None:
        raise DataError(f"{name}: .npy version {version}; arrays of numbers have 1.0 or 2.0")
    return shape, dtype
