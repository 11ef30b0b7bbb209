"""Model files of any framework -> one graph."""

from tf2.importers.load import ImportedModel, InputShapes, load_model
from tf2.importers.origin import FileDigest, Origin
from tf2.importers.runtimes import Runtime

__all__ = ["FileDigest", "ImportedModel", "InputShapes", "Origin", "Runtime", "load_model"]
