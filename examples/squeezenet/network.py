"""SqueezeNet v1.1 as an ONNX file, from its weights as pickled NumPy arrays."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, tuple[np.ndarray, np.ndarray]]

INPUT_SIZE = 227
CLASSES = 1000
OPSET, IR_VERSION = 17, 8  # of 2021: any reader knows them


class _ArraysOnly(pickle.Unpickler):
    """Unpickles containers and NumPy arrays; any other name in the file is refused."""

    # NumPy 1 wrote the file; its name for the function that remakes arrays is deprecated.
    ADMITTED: Mapping[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return what the file names, if it is needed for arrays."""
        try:
            return self.ADMITTED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"{module_name}.{global_name} is none of NumPy's arrays: refused"
            ) from None


def read_weights(pickled: bytes) -> Weights:
    """Return (kernel (O, I, Kh, Kw), bias (O,)), float32, by layer."""
    stored = _ArraysOnly(io.BytesIO(pickled)).load()
    layers = {}
    for name, (kernel, bias) in stored.items():  # kernel (Kh, Kw, I, O)
        layers[name] = (np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), bias)
    return layers


def squeezenet(weights: Weights) -> onnx.ModelProto:
    """Return the network: BGR pixels less their mean (N, 3, 227, 227) -> probabilities (N, 1000).

    Source: Iandola 2016, arXiv:1602.07360, and its v1.1 deploy.prototxt: Caffe's pooling, which
    rounds sizes up, and no padding in conv1.
    """
    net = _Net(weights)
    x = net.conv("data", "conv1", strides=[2, 2])
    x = net.max_pool(x, "pool1")
    x = net.fire(net.fire(x, "fire2"), "fire3")
    x = net.max_pool(x, "pool3")
    x = net.fire(net.fire(x, "fire4"), "fire5")
    x = net.max_pool(x, "pool5")
    for name in ("fire6", "fire7", "fire8", "fire9"):
        x = net.fire(x, name)
    x = net.conv(x, "conv10")
    x = net.add("GlobalAveragePool", [x], "pool10")
    x = net.add("Flatten", [x], "scores")
    net.add("Softmax", [x], "prob", axis=1)
    graph = helper.make_graph(
        net.nodes,
        "squeezenet_v1.1",
        [_image("data", 3, INPUT_SIZE, INPUT_SIZE)],
        [_image("prob", CLASSES)],
        net.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Net:
    """Nodes in the order they are added; each is named as its result."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._weights = weights

    def add(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, name: str, **attributes: Any) -> str:
        names = [f"{name}.weight", f"{name}.bias"]
        pairs = zip(names, self._weights[name], strict=True)
        self.constants += [numpy_helper.from_array(array, key) for key, array in pairs]
        return self.add("Relu", [self.add("Conv", [x, *names], name, **attributes)], f"{name}.relu")

    def max_pool(self, x: str, name: str) -> str:
        return self.add("MaxPool", [x], name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    def fire(self, x: str, name: str) -> str:
        x = self.conv(x, f"{name}/squeeze1x1")
        halves = [
            self.conv(x, f"{name}/expand1x1"),
            self.conv(x, f"{name}/expand3x3", pads=[1, 1, 1, 1]),
        ]
        return self.add("Concat", halves, f"{name}/concat", axis=1)


def _image(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
