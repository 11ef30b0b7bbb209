"""Weights -> 4-bit powers of two, without retraining."""

from tf2.compression.compress import Compressed, compress

__all__ = ["Compressed", "compress"]
