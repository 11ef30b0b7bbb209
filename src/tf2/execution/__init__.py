"""Running graphs: as ONNX models in ONNX Runtime, and node by node in the golden interpreter."""

from tf2.execution.interpreter import interpret
from tf2.execution.onnx_writer import to_onnx
from tf2.execution.runner import Runner

__all__ = ["Runner", "interpret", "to_onnx"]
