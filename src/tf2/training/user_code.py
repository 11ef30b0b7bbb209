"""The user's own data sets and losses, by ``package.module:function`` or ``file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tf2.errors import TrainingError


def load_object(spec: str) -> Any:
    """Return what a name in a Python module stands for. This runs the user's code.

    Raises:
        TrainingError: There is no such module or name, or the module fails.
    """
    source, _, attribute = spec.rpartition(":")
    if not source or not attribute:
        raise TrainingError(
            f"{spec!r} names nothing: write package.module:function or path/to/file.py:function"
        )
    folder = Path(source).resolve().parent if source.endswith(".py") else Path.cwd()
    sys.path.insert(0, str(folder))
    try:
        module = _import(source)
    except Exception as error:
        raise TrainingError(
            f"{source} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
    if not hasattr(module, attribute):
        raise TrainingError(f"{source} has no {attribute!r}")
    return getattr(module, attribute)


def is_object(place: str) -> bool:
    """Tell whether a text names a Python object rather than a file (``set.npz:key``)."""
    source, colon, attribute = place.rpartition(":")
    if not colon or not attribute.isidentifier() or Path(place).exists():
        return False
    if source.lower().endswith(".npz"):
        return False
    return source.endswith(".py") or all(part.isidentifier() for part in source.split("."))


def _import(source: str) -> ModuleType:
    if not source.endswith(".py"):
        return importlib.import_module(source)
    path = Path(source).resolve()
    name = f"tf2_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # workers that read data find its classes there
    spec.loader.exec_module(module)
    return module
