"""The member ``tensors.safetensors``: weights one by one, everything small in pools.

A safetensors header costs about 90 bytes a tensor and cannot be deflated, and a network has three
or four small arrays a layer. So only weights are tensors of their own ("weight:NAME"); all other
arrays of one element type follow each other in one pool ("pool:TYPE"), in the order of graph.json.

Both classes raise ValueError; who reads or writes the file adds its name.
"""

from __future__ import annotations

import numpy as np

from tf2.ir.dtypes import PLAIN

ALIGNMENT = 64
"""The tensor data start at a multiple of this, within the member and within the file."""


def element_name(array: np.ndarray) -> str:
    """Return the array's element type as the IR names it.

    Raises:
        ValueError: The IR has no such type.
    """
    name = "string" if array.dtype.kind in "OU" else array.dtype.name
    if name not in PLAIN:
        raise ValueError(f"arrays of {array.dtype} cannot be stored, only {', '.join(PLAIN)}")
    return name


class TensorWriter:
    """Collects arrays, then gives the bytes of the member."""

    def __init__(self) -> None:
        self._own: dict[str, np.ndarray] = {}
        self._pools: dict[str, list[np.ndarray]] = {}
        self._pool_sizes: dict[str, int] = {}

    def add(self, name: str, array: np.ndarray) -> None:
        """Store an array as the tensor ``weight:name``."""
        self._own[name] = array

    def add_to_pool(self, array: np.ndarray) -> int:
        """Store an array at the end of the pool of its type, and return where it begins there."""
        name = element_name(array)
        at = self._pool_sizes.get(name, 0)
        self._pools.setdefault(name, []).append(_little_endian(array).reshape(-1))
        self._pool_sizes[name] = at + array.size
        return at

    def to_bytes(self) -> bytes:
        """Return the member; equal arrays give equal bytes."""
        # Only who writes or reads tensors pays for the import: `read_manifest` does not.
        from safetensors.numpy import save

        tensors = {f"weight:{name}": _little_endian(array) for name, array in self._own.items()}
        for name, parts in self._pools.items():
            whole = np.concatenate(parts)
            # NumPy has no bfloat16 of its own, and safetensors' NumPy reader refuses it.
            tensors[f"pool:{name}"] = whole.view(np.uint16) if name == "bfloat16" else whole
        return _aligned(save(tensors))


def _little_endian(array: np.ndarray) -> np.ndarray:
    # Not ascontiguousarray, which makes a vector of a scalar.
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _aligned(data: bytes) -> bytes:
    """Lengthen the header by spaces, as the format allows, so that the data are aligned."""
    header_end = 8 + int.from_bytes(data[:8], "little")
    fill = -header_end % ALIGNMENT
    length = (header_end - 8 + fill).to_bytes(8, "little")
    return length + data[8:header_end] + b" " * fill + data[header_end:]


class TensorReader:
    """Gives the arrays back, each byte once and in the order they were written.

    That order is checked, so a forged graph.json cannot make one small tensor into many large
    arrays.

    Raises:
        ValueError: The bytes are no safetensors file.
    """

    def __init__(self, data: bytes) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            self._unread = load(data)
        except (SafetensorError, KeyError) as error:  # KeyError: an element type NumPy has not
            raise ValueError(f"it is no valid safetensors file: {error}") from error
        self._position = {name: 0 for name in self._unread if name.startswith("pool:")}

    def take(self, name: str) -> np.ndarray:
        """Return the tensor ``weight:name``.

        Raises:
            ValueError: There is none, or it was taken before.
        """
        found = self._unread.pop(f"weight:{name}", None)
        if found is None:
            raise ValueError(f"it has no tensor 'weight:{name}'")
        return found

    def take_from_pool(self, name: str, at: int, count: int) -> np.ndarray:
        """Return the next ``count`` elements of a pool, which must begin at ``at``.

        Raises:
            ValueError: They begin elsewhere, or the pool is too short.
        """
        key = f"pool:{name}"
        pool, position = self._unread.get(key), self._position.get(key)
        if pool is None or position is None or pool.ndim != 1:
            raise ValueError(f"it has no vector {key!r}")
        if at != position or count > pool.size - at:
            raise ValueError(
                f"elements {at}..{at + count} of {key!r} were asked for, where {position} is next "
                f"and the end is {pool.size}"
            )
        self._position[key] = at + count
        part = pool[at : at + count]
        return _as_bfloat16(part) if name == "bfloat16" else part

    def finish(self) -> None:
        """Check that every element was taken.

        Raises:
            ValueError: Names a tensor that was not.
        """
        for name, tensor in self._unread.items():
            if self._position.get(name) != tensor.size:
                raise ValueError(f"tensor {name!r} belongs to no constant of the graph")


def _as_bfloat16(words: np.ndarray) -> np.ndarray:
    try:
        import ml_dtypes  # comes with onnx; only a model with bfloat16 constants needs it
    except ImportError as error:
        raise ValueError("bfloat16 constants need ml_dtypes: pip install ml_dtypes") from error
    if words.dtype != np.uint16:
        raise ValueError(f"'pool:bfloat16' must be stored as uint16, not {words.dtype}")
    return words.view(ml_dtypes.bfloat16)
