"""A network that tells red, green and blue images apart, as an ONNX file, with images to feed it.

Small enough to compress in a fraction of a second, and right by construction: its first layer
passes the colours on, the rest averages them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIZE = 12
CLASSES = ("red", "green", "blue")


def color_model(*, classes: int = 3, seed: int = 0) -> onnx.ModelProto:
    """Conv 3x3 + Relu, Conv 1x1 + Relu, global average, Softmax; input "image" (N, 3, 12, 12)."""
    rng = np.random.default_rng(seed)
    blur = np.full((3, 3, 3, 3), 0.004, np.float32) * (0.5 + rng.random((3, 3, 3, 3)))
    blur[range(3), range(3)] += 0.1
    mix = (np.eye(classes, 3) - 0.2 + 0.02 * rng.standard_normal((classes, 3))).astype(np.float32)
    constants = {
        "w1": blur.astype(np.float32),
        "b1": np.full(3, 0.01, np.float32),
        "w2": mix[:, :, None, None],
        "b2": np.full(classes, 0.1, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], name="conv1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2"),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["mean"], name="mean"),
        helper.make_node("Softmax", ["mean"], ["scores"], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes, 1, 1])],
        [numpy_helper.from_array(data, name) for name, data in constants.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])


def write_model(folder: Path, **options: int) -> Path:
    """Write ``colors.onnx`` and return its path."""
    path = folder / "colors.onnx"
    path.write_bytes(color_model(**options).SerializeToString())
    return path


def write_images(folder: Path, *, count: int = 8, seed: int = 0) -> Path:
    """Write ``photos/red/0.png`` and so on, ``count`` of each colour; return ``photos``."""
    rng = np.random.default_rng(seed)
    photos = folder / "photos"
    for channel, name in enumerate(CLASSES):
        (photos / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 120, (SIZE, SIZE, 3), np.uint8)
            pixels[:, :, channel] += 110
            Image.fromarray(pixels).save(photos / name / f"{index}.png")
    return photos


def write_labels(photos: Path) -> Path:
    """Write ``labels.csv`` beside the photos, by their folder; return its path."""
    rows = ["file,class_index"]
    for file in sorted(photos.rglob("*.png")):
        rows.append(f"{file.relative_to(photos).as_posix()},{CLASSES.index(file.parent.name)}")
    path = photos.parent / "labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
