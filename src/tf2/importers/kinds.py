"""What kind of model a path or name is, told by its suffix; what is none gets a way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from tf2.errors import ImportModelError

Kind = Literal[
    "onnx", "caffe", "factory", "exported-program", "keras", "saved-model", "frozen-graph"
]

SUFFIXES: dict[str, Kind] = {
    ".onnx": "onnx",
    ".prototxt": "caffe",
    ".pt2": "exported-program",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".pb": "frozen-graph",
}

FACTORY = re.compile(r"(?P<source>.+\.py|[A-Za-z_][\w.]*):(?P<attribute>[A-Za-z_][\w.]*)")

ALLOWED = (
    "Models are .onnx, .prototxt (with a .caffemodel), package.module:function or "
    "file.py:function (with a .pth), .pt2, .keras, .h5, a SavedModel folder, or a frozen .pb"
)

_WEIGHTS_ONLY = (
    "holds PyTorch weights without the network. Give the function that makes the network: "
    "package.module:function or file.py:function, with --weights {name} (weights=...)"
)
_WAY_OUT = {
    ".caffemodel": (
        "holds the weights of a Caffe network. Give its .prototxt as the model, with "
        "--weights {name} (weights=...)"
    ),
    ".pth": _WEIGHTS_ONLY,
    ".pt": _WEIGHTS_ONLY,
    ".th": _WEIGHTS_ONLY,
    ".ckpt": _WEIGHTS_ONLY,
    ".safetensors": _WEIGHTS_ONLY,
    ".py": "is Python code. Name the function that makes the network: {name}:FUNCTION",
    ".tf2": "is compressed already: tf2 info, run, eval and export read it (tf2.Session)",
    ".tflite": "is a TensorFlow Lite file. Give the Keras model or SavedModel it was made from",
}


def kind_of(model: str) -> Kind:
    """Return what kind of model the user named.

    Raises:
        ImportModelError: Nothing is there, or nothing that is a model; says what to give instead.
    """
    if "\0" in model:
        raise ImportModelError(f"{model!r} cannot be read: no file has such a name")
    path = Path(model)
    if FACTORY.fullmatch(model) and not path.exists():
        return "factory"
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise ImportModelError(f"{model}: there is no such file or folder. {ALLOWED}.")
    if path.name == "saved_model.pb":
        return "saved-model"
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix in _WAY_OUT:
        raise ImportModelError(f"{model} {_WAY_OUT[suffix].format(name=path.name)}.")
    raise ImportModelError(f"{model}: {suffix or 'a file without suffix'} is no model. {ALLOWED}.")


def sibling_weights(prototxt: Path) -> Path:
    """Return the ``.caffemodel`` that lies beside a prototxt: of its stem, or the only one.

    Raises:
        ImportModelError: There is none, or several and none of that stem.
    """
    same_stem = prototxt.with_suffix(".caffemodel")
    if same_stem.is_file():
        return same_stem
    beside = sorted(prototxt.resolve().parent.glob("*.caffemodel"))
    if not beside:
        raise ImportModelError(
            f"{prototxt}: no .caffemodel lies beside it. Name the weights by --weights "
            f"(weights=...)"
        )
    if len(beside) > 1:
        names = ", ".join(path.name for path in beside[:5])
        raise ImportModelError(
            f"{prototxt}: {len(beside)} .caffemodel files lie beside it ({names}). Name the right "
            f"one by --weights (weights=...)"
        )
    return prototxt.parent / beside[0].name


def _folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return "saved-model"
    raise ImportModelError(
        f"{path} is a folder, and no SavedModel: it holds no saved_model.pb. {ALLOWED}."
    )
