"""``package.module:function`` or ``path/to/file.py:function`` -> the module it makes -> ONNX."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import onnx

from tf2.errors import ImportModelError
from tf2.importers.pytorch.export import export_module
from tf2.importers.pytorch.extra import require_torch
from tf2.importers.pytorch.weights import load_weights_into

if TYPE_CHECKING:
    import torch


def read_factory(
    spec: str, weights: Path | None, input_shapes: Sequence[Sequence[int]]
) -> onnx.ModelProto:
    """Return the network that a factory function makes, with its weights, as ONNX.

    Security: this runs the user's Python code, the file's as well as the function's. The weights
    are read as tensors only.

    Args:
        spec: ``package.module:function`` or ``path/to/file.py:function``.
        weights: A weight file that must match in every name and shape; absent, the module is
            taken as the function made it.
        input_shapes: The shape of each input with its batch axis, in the order of ``forward``.

    Raises:
        ImportModelError: The function or the weights cannot be used, or the export fails.
        MissingExtraError: torch is not installed.
    """
    return export_module(load_factory(spec, weights), input_shapes)


def load_factory(spec: str, weights: Path | None = None) -> torch.nn.Module:
    """Return the module that ``spec`` makes, in evaluation mode, with ``weights`` loaded strictly.

    Security: this runs the user's Python code. See read_factory.
    """
    require_torch()
    import torch

    source, _, attribute = spec.rpartition(":")
    if not source or not attribute:
        raise ImportModelError(
            f"{spec!r} names no model. Write package.module:function or path/to/file.py:function."
        )
    with _on_path(Path(source).resolve().parent if _is_file(source) else Path.cwd()):
        namespace = _import(source)
        factory = getattr(namespace, attribute, None)
        if factory is None:
            raise ImportModelError(f"{source} has no {attribute!r}. {_candidates(namespace)}")
        module = factory if isinstance(factory, torch.nn.Module) else _call(spec, factory)
    if not isinstance(module, torch.nn.Module):
        raise ImportModelError(
            f"{spec} returned a {type(module).__name__}. Name a function that returns a "
            f"torch.nn.Module, or the class of one."
        )
    if weights is not None:
        load_weights_into(module, weights)
    return module.eval()


def _is_file(source: str) -> bool:
    return source.endswith(".py")


def _import(source: str) -> ModuleType:
    try:
        if not _is_file(source):
            return importlib.import_module(source)
        path = Path(source).resolve()
        # A name of its own: a user's file called resnet.py must not hide a package of that name.
        name = f"tf2_factory_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None  # the name ends in .py
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and torch look a class's module up there
        spec.loader.exec_module(module)
    except Exception as error:
        raise ImportModelError(
            f"{source} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    return module


def _call(spec: str, factory: Any) -> Any:
    if not callable(factory):
        raise ImportModelError(f"{spec} is a {type(factory).__name__}, not a function.")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ImportModelError(
            f"{spec}{inspect.signature(factory)} is called without arguments: {error}. Write a "
            f"function without arguments that calls it."
        ) from error
    try:
        return factory()
    except Exception as error:
        raise ImportModelError(f"{spec}() failed: {type(error).__name__}: {error}.") from error


def _candidates(namespace: ModuleType) -> str:
    """Name the functions and classes that the file itself defines."""
    names = [
        name
        for name, value in vars(namespace).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == namespace.__name__
    ]
    return f"It defines {', '.join(names[:8])}." if names else "It defines no function."


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let the user's file import its neighbours, as it does when it is run."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have changed sys.path
            sys.path.remove(str(folder))
