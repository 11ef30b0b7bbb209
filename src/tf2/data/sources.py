"""What ``Samples.open`` can open, each kind as a reader of one sample by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tf2.data.arrays import as_float32, list_arrays, npz_shapes, read_npy, read_npz
from tf2.data.images import EXTENSIONS, ZIP_MARK, ImageReader, image_names, is_zip
from tf2.data.preprocessing import Preprocessing
from tf2.data.samples import ImageSource, InputShapes, ModelInput, Samples, prepare
from tf2.errors import DataError

Shape = Sequence[int | None]


def open_source(
    place: str | Path | Sequence[str | Path],
    preprocessing: Preprocessing | None,
    *,
    inputs: InputShapes | None,
    key: str | None,
) -> Samples:
    """Return the samples in ``place`` as ``Samples.open`` promises, without reading them yet."""
    if not isinstance(place, str | Path):
        return _open_images([str(p) for p in place], [str(p) for p in place], preprocessing, inputs)
    path = Path(place)
    kind = path.suffix.lower()
    if kind == ".npz":
        return _open_npz(path, preprocessing, inputs, key)
    if key is not None:
        raise DataError(f"{path}: an array is chosen by key ({key!r}) in .npz files only")
    if kind == ".npy":
        return _open_array(path, read_npy(path), preprocessing, inputs)
    if path.is_dir() or is_zip(path):
        names = image_names(path)
        files = [f"{path}!{n}" if path.is_file() else str(path / n) for n in names]
        return _open_images(files, names, preprocessing, inputs)
    if kind in EXTENSIONS or ZIP_MARK in str(path).lower():
        return _open_images([str(path)], [path.name], preprocessing, inputs)
    found = "a file of another kind" if path.is_file() else "nothing there"
    raise DataError(
        f"{path}: {found}. Samples come from a folder or .zip of images, an image "
        f"({' '.join(sorted(EXTENSIONS))}), an .npy or an .npz file"
    )


def _open_images(
    files: Sequence[str],
    names: Sequence[str],
    preprocessing: Preprocessing | None,
    inputs: InputShapes | None,
) -> Samples:
    if not files:
        raise DataError("no images: the list is empty")
    if preprocessing is None:
        raise DataError(
            f"{files[0]}: an image needs a preprocessing, the one the network was trained with. "
            "Name a preset or a JSON file"
        )
    shape = _only_shape(inputs)
    reader = ImageReader()  # its archives stay open as long as the samples exist

    def read(index: int) -> NDArray[np.uint8]:
        return reader.open(files[index])

    def load(index: int) -> ModelInput:
        prepared = prepare(preprocessing, read(index), files[index])
        return _of_shape(prepared, shape, files[index])

    source = ImageSource(read=read, preprocessing=preprocessing)
    return Samples(names, load, images=source)


def _open_npz(
    path: Path, preprocessing: Preprocessing | None, inputs: InputShapes | None, key: str | None
) -> Samples:
    shapes = npz_shapes(path)
    wanted = list(inputs or ())
    if key is not None or (len(shapes) == 1 and len(wanted) < 2):
        return _open_array(path, read_npz(path, key or next(iter(shapes))), preprocessing, inputs)
    if inputs is None or any(name not in shapes for name in wanted):
        needed = f" The network's inputs are {', '.join(wanted)}." if wanted else ""
        raise DataError(
            f"{path}: holds {list_arrays(shapes)}.{needed} Choose one array by its key, or give "
            "the arrays the names of the network's inputs"
        )
    if len(wanted) == 1:
        return _open_array(path, read_npz(path, wanted[0]), preprocessing, inputs)
    lengths = {name: shapes[name][0] if shapes[name] else 0 for name in wanted}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: the inputs differ in their number of samples: {lengths}")
    loaders = {
        name: _loader(f"{path}[{name}]", read_npz(path, name), preprocessing, inputs[name])
        for name in wanted
    }
    names = [f"{path.name}[{i}]" for i in range(lengths[wanted[0]])]
    return Samples(names, lambda i: {name: load(i) for name, load in loaders.items()})


def _open_array(
    path: Path, array: NDArray, preprocessing: Preprocessing | None, inputs: InputShapes | None
) -> Samples:
    load = _loader(str(path), array, preprocessing, _only_shape(inputs))
    source = None
    if preprocessing is not None and array.dtype == np.uint8:
        source = ImageSource(read=lambda i: _photograph(array[i]), preprocessing=preprocessing)
    return Samples([f"{path.name}[{i}]" for i in range(len(array))], load, images=source)


def _loader(
    name: str, array: NDArray, preprocessing: Preprocessing | None, shape: Shape | None
) -> Callable[[int], NDArray[np.float32]]:
    """Return what gives sample i of ``array``, by the rule that ``Samples.open`` states."""
    if array.ndim < 2 or 0 in array.shape:
        raise DataError(
            f"{name}: shape {array.shape} holds no samples. Axis 0 counts the samples, the others "
            "are the network's input"
        )
    if preprocessing is None or array.dtype != np.uint8:
        if shape is not None and _fits(array.shape, shape):
            raise DataError(
                f"{name}: shape {array.shape} is one input of the network. Axis 0 counts the "
                "samples: save a single one with an axis of 1 before it, as x[None]"
            )
        return lambda i: _of_shape(as_float32(array[i], f"{name}[{i}]"), shape, f"{name}[{i}]")
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise DataError(
            f"{name}: uint8 of shape {array.shape}. With a preprocessing, uint8 means photographs: "
            "(N, H, W, 3) RGB, (N, H, W, 1) or (N, H, W) grey. Transpose it, or store prepared "
            "inputs as float32"
        )

    def load(index: int) -> NDArray[np.float32]:
        where = f"{name}[{index}]"
        return _of_shape(prepare(preprocessing, _photograph(array[index]), where), shape, where)

    return load


def _photograph(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) of RGB or grey pixels."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _only_shape(inputs: InputShapes | None) -> Shape | None:
    if inputs is None:
        return None
    if len(inputs) == 1:
        return next(iter(inputs.values()))
    raise DataError(
        f"the network takes {len(inputs)} inputs ({', '.join(inputs)}), and this gives one. Give "
        "an .npz with one array for each input, named as the inputs"
    )


def _of_shape(sample: NDArray[np.float32], shape: Shape | None, name: str) -> NDArray[np.float32]:
    if shape is None or _fits(sample.shape, shape):
        return sample
    wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    hint = "Choose the preprocessing, or prepare the array, for this size"
    if sample.ndim == 3 and _fits(np.roll(sample.shape, 1).tolist(), shape):
        hint = "Its channels are last and the network wants them first: use layout NCHW"
    elif sample.ndim == 3 and _fits(np.roll(sample.shape, -1).tolist(), shape):
        hint = "Its channels are first and the network wants them last: use layout NHWC"
    raise DataError(f"{name}: gives shape {sample.shape}; the network's input is {wanted}. {hint}")


def _fits(found: Sequence[int], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(
        w is None or f == w for f, w in zip(found, wanted, strict=True)
    )
