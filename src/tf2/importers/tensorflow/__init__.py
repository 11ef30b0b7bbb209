"""TensorFlow and Keras models -> ONNX: whole Keras files, SavedModels, frozen graphs.

The result has free axes only where a batch is (axis 0, named ``N``) and opset 18. Inputs keep the
model's own layout, which for images is N, H, W, C: the ONNX graph then begins with a Transpose.

Security: a Keras file is read in safe mode and refused when it holds Python code (Lambda layers).
A SavedModel or a frozen graph is a program of TensorFlow operators, which can read and write files:
read only those you would run.
"""

from tf2.importers.tensorflow.frozen import load_frozen_graph, read_frozen_graph
from tf2.importers.tensorflow.graph import TensorFlowGraph, reference_runner, to_onnx
from tf2.importers.tensorflow.keras import load_keras, read_keras
from tf2.importers.tensorflow.saved_model import load_saved_model, read_saved_model

__all__ = [
    "TensorFlowGraph",
    "load_frozen_graph",
    "load_keras",
    "load_saved_model",
    "read_frozen_graph",
    "read_keras",
    "read_saved_model",
    "reference_runner",
    "to_onnx",
]
