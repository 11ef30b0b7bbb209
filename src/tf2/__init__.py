"""TF2: trained networks as 4-bit power-of-two models for FPGAs without multipliers.

    import tf2

    model = tf2.compress("net.onnx", "photos/", preprocessing="torch-imagenet")
    model.save("net.tf2")
    tf2.Session("net.tf2").run_images(["cat.jpg"])

Names are imported when first used, so that ``import tf2`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tf2._version import __version__

if TYPE_CHECKING:
    from tf2.data import Preprocessing, Samples
    from tf2.engines import Session
    from tf2.errors import Tf2Error
    from tf2.evaluation import Accuracy, Comparison, PairedAccuracy
    from tf2.flow import (
        AccuracyTarget,
        classify,
        compare,
        compress,
        evaluate,
        export_onnx,
        inq,
        inspect_model,
        prune,
        retraining,
        train,
    )
    from tf2.importers import load_model
    from tf2.model_file import CompressedModel, CompressionSettings
    from tf2.model_file import read_model as load

# Public name -> (module, name there). A test holds it to __all__ and to the imports above.
_HOMES = {
    "Accuracy": ("tf2.evaluation", "Accuracy"),
    "AccuracyTarget": ("tf2.flow", "AccuracyTarget"),
    "Comparison": ("tf2.evaluation", "Comparison"),
    "CompressedModel": ("tf2.model_file", "CompressedModel"),
    "CompressionSettings": ("tf2.model_file", "CompressionSettings"),
    "PairedAccuracy": ("tf2.evaluation", "PairedAccuracy"),
    "Preprocessing": ("tf2.data", "Preprocessing"),
    "Samples": ("tf2.data", "Samples"),
    "Session": ("tf2.engines", "Session"),
    "Tf2Error": ("tf2.errors", "Tf2Error"),
    "classify": ("tf2.flow", "classify"),
    "compare": ("tf2.flow", "compare"),
    "compress": ("tf2.flow", "compress"),
    "evaluate": ("tf2.flow", "evaluate"),
    "export_onnx": ("tf2.flow", "export_onnx"),
    "inq": ("tf2.flow", "inq"),
    "inspect_model": ("tf2.flow", "inspect_model"),
    "load": ("tf2.model_file", "read_model"),
    "load_model": ("tf2.importers", "load_model"),
    "prune": ("tf2.flow", "prune"),
    "retraining": ("tf2.flow", "retraining"),
    "train": ("tf2.flow", "train"),
}

__all__ = [
    "Accuracy",
    "AccuracyTarget",
    "Comparison",
    "CompressedModel",
    "CompressionSettings",
    "PairedAccuracy",
    "Preprocessing",
    "Samples",
    "Session",
    "Tf2Error",
    "__version__",
    "classify",
    "compare",
    "compress",
    "evaluate",
    "export_onnx",
    "inq",
    "inspect_model",
    "load",
    "load_model",
    "prune",
    "retraining",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tf2' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
