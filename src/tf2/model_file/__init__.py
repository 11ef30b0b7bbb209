"""The ``.tf2`` file: a compressed model with everything that is needed to run and to explain it.

The format itself is described in ``docs/file_format.md``.
"""

from tf2.model_file.atomic import atomic_write
from tf2.model_file.compressed_model import (
    CompressedModel,
    read_manifest,
    read_model,
    write_model,
)
from tf2.model_file.manifest import (
    FORMAT_VERSION,
    CompressionSettings,
    LayerReport,
    Manifest,
    Source,
    SourceFile,
    Support,
    TensorInfo,
)

__all__ = [
    "FORMAT_VERSION",
    "CompressedModel",
    "CompressionSettings",
    "LayerReport",
    "Manifest",
    "Source",
    "SourceFile",
    "Support",
    "TensorInfo",
    "atomic_write",
    "read_manifest",
    "read_model",
    "write_model",
]
