"""PyTorch models -> ONNX: a factory function with its weights, or a ``torch.export`` program.

The result has free axes only where a batch is (axis 0, named ``N``) and opset 18. Inputs keep the
module's own layout (N, C, H, W for images) and the names of ``forward``'s parameters; outputs are
called ``output``, ``output_0``, ... or ``output_key`` for the keys of a returned dict.

Importing a factory runs the Python code it is in. Weights are never unpickled: a file that needs
more than tensors is refused.
"""

from tf2.importers.pytorch.export import export_module, export_program
from tf2.importers.pytorch.factory import load_factory, read_factory
from tf2.importers.pytorch.program import load_exported_program, read_exported_program
from tf2.importers.pytorch.reference import Runner, reference_runner
from tf2.importers.pytorch.weights import load_state_dict, load_weights_into

__all__ = [
    "Runner",
    "export_module",
    "export_program",
    "load_exported_program",
    "load_factory",
    "load_state_dict",
    "load_weights_into",
    "read_exported_program",
    "read_factory",
    "reference_runner",
]
