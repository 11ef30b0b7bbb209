"""Attributes of nodes as JSON values.

An integer is a number without fraction and exponent, a float is one that has them, a tuple is a
list. What JSON has no form for is an object of one key::

    {"float": "Infinity"}                                   also "-Infinity", "NaN"
    {"array": {"pool": "float32", "shape": [2, 3], "at": 0}}
    {"text": {"shape": [2], "values": ["a", "b"]}}          an array of strings
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tf2.ir import Attr
from tf2.model_file.tensors import TensorReader, TensorWriter, element_name

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Array(_Record):
    pool: str
    shape: tuple[int, ...]
    at: int = Field(ge=0)


class _TextArray(_Record):
    shape: tuple[int, ...]
    values: tuple[str, ...]


def attr_to_json(value: Attr, tensors: TensorWriter) -> Any:
    """Return the attribute as a JSON value; the elements of an array go to ``tensors``.

    Raises:
        ValueError: It is of no kind that `tf2.ir.Attr` allows.
    """
    if isinstance(value, tuple):
        return [_scalar_to_json(item) for item in value]
    if not isinstance(value, np.ndarray):
        return _scalar_to_json(value)
    shape = list(value.shape)
    name = element_name(value)
    if name == "string":
        return {"text": {"shape": shape, "values": [str(v) for v in value.reshape(-1).tolist()]}}
    return {"array": {"pool": name, "shape": shape, "at": tensors.add_to_pool(value)}}


def attr_from_json(value: Any, tensors: TensorReader) -> Attr:
    """Return the attribute that `attr_to_json` wrote.

    Raises:
        ValueError: It wrote no such value.
    """
    match value:
        case list():
            return tuple(_scalar_from_json(item) for item in value)
        case {"array": dict(fields), **rest} if not rest:
            array = _Array.model_validate(_tuples(fields))
            count = math.prod(array.shape)
            return tensors.take_from_pool(array.pool, array.at, count).reshape(array.shape)
        case {"text": dict(fields), **rest} if not rest:
            text = _TextArray.model_validate(_tuples(fields))
            return text_array(text.values, text.shape)
        case _:
            return _scalar_from_json(value)


def text_array(values: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of str objects, as ONNX's own reader gives them.

    Raises:
        ValueError: The shape has another number of elements.
    """
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists only; the strict records want tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}


def _scalar_to_json(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):  # bool and NumPy's integers too
        return int(value)
    if not isinstance(value, Real):
        raise ValueError(f"attribute value {value!r} is no int, float, str, tuple or array")  # noqa: TRY004 - one error type
    number = float(value)
    if math.isfinite(number):
        return number
    return {"float": next(k for k, v in _SPECIAL.items() if repr(v) == repr(number))}


def _scalar_from_json(value: Any) -> Any:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return value
    if isinstance(value, dict) and list(value) == ["float"] and value["float"] in _SPECIAL:
        return _SPECIAL[value["float"]]
    raise ValueError(f"{str(value)[:80]} is no value of an attribute")
