"""The integer arithmetic of TF2, defined once, in NumPy.

Every other level (interpreter, ONNX export, hardware models, RTL) is tested against this package.
"""

from tf2.numerics import fixed_point, integer_ops, pot4

__all__ = ["fixed_point", "integer_ops", "pot4"]
