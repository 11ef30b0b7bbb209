"""TensorProto -> array, with the size checked against the data before memory is taken."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tf2.errors import ImportModelError

MAX_CONSTANT_BYTES = 2**31
"""Of one tensor: a model beyond it cannot be given to ONNX Runtime in one message."""

MAX_RANK = 16


def tensor_array(tensor: TensorProto, *, what: str) -> np.ndarray:
    """Return the data of a tensor that is complete and of sane size.

    Raises:
        ImportModelError: Names ``what``.
    """
    check_dims(tuple(tensor.dims), what=what)
    if tensor.data_location == TensorProto.EXTERNAL:
        raise ImportModelError(f"{what} lies in another file, which only initializers may")
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # to_array raises anything on data that do not fit the shape
        raise ImportModelError(f"{what} cannot be read: {error}") from error
    if array.shape != tuple(tensor.dims):
        raise ImportModelError(f"{what} has {array.size} elements, its shape is {tensor.dims}")
    return array


def check_dims(dims: tuple[int, ...], *, what: str, item_bytes: int = 1) -> None:
    """Refuse negative sizes, absurd ranks and tensors that no runtime would take."""
    if any(d < 0 for d in dims) or len(dims) > MAX_RANK:
        raise ImportModelError(f"{what} has the impossible shape {list(dims)}")
    if math.prod(dims) * item_bytes > MAX_CONSTANT_BYTES:
        raise ImportModelError(
            f"{what} of shape {list(dims)} is larger than {MAX_CONSTANT_BYTES} bytes"
        )


def densified(sparse: onnx.SparseTensorProto) -> np.ndarray:
    """Return a sparse tensor as an ordinary array."""
    what = f"sparse tensor {sparse.values.name!r}"
    dims = tuple(sparse.dims)
    dtype = helper.tensor_dtype_to_np_dtype(sparse.values.data_type)
    check_dims(dims, what=what, item_bytes=dtype.itemsize)
    values = tensor_array(sparse.values, what=what)
    indices = tensor_array(sparse.indices, what=f"index of {what}")
    if indices.ndim == 1:
        flat = indices
    elif indices.ndim == 2 and indices.shape[1] == len(dims):
        if (indices < 0).any() or (indices >= np.array(dims)).any():
            raise ImportModelError(f"{what}: an index lies outside {list(dims)}")
        flat = np.ravel_multi_index(tuple(indices.T), dims)
    else:
        raise ImportModelError(f"{what}: indices of shape {indices.shape} fit not {list(dims)}")
    dense = np.zeros(math.prod(dims), dtype)
    if flat.shape != values.shape or (flat < 0).any() or (flat >= dense.size).any():
        raise ImportModelError(f"{what}: an index lies outside {list(dims)}")
    dense[flat] = values
    return dense.reshape(dims)
