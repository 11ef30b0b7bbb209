"""Weights -> 4-bit powers of two, without retraining."""

from tf2.compression.auto_keep import auto_keep
from tf2.compression.compress import Compressed, compress
from tf2.compression.sensitivity import sensitivity
from tf2.compression.settled import Codes, Settled, settled_of

__all__ = [
    "Codes",
    "Compressed",
    "Settled",
    "auto_keep",
    "compress",
    "sensitivity",
    "settled_of",
]
