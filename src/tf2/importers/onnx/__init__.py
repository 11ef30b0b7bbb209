"""ONNX models (a file or a ModelProto) as graphs."""

from tf2.importers.onnx.read import read_onnx

__all__ = ["read_onnx"]
