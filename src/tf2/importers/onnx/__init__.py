"""ONNX models (a file or a ModelProto) as graphs."""

from tf2.importers.onnx.read import read_onnx
from tf2.importers.onnx.single_precision import precisions

__all__ = ["precisions", "read_onnx"]
