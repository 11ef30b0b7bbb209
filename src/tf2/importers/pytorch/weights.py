"""Weight files -> tensors, without ever unpickling an object."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf2.errors import ImportModelError
from tf2.importers.pytorch.extra import quiet, require_torch

if TYPE_CHECKING:
    import torch

CONTAINERS = ("state_dict", "model_state_dict", "model")  # where training scripts put the weights
WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
SHOWN = 5  # names listed of each kind of mismatch


def load_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weight file by name; no code of the file runs.

    Reads ``.safetensors`` and everything ``torch.save`` makes of tensors. A dict that holds the
    weights under ``state_dict``, ``model_state_dict`` or ``model`` is unwrapped, and the prefix
    that DataParallel or torch.compile put before every name is removed.

    Raises:
        ImportModelError: The file is absent or damaged, holds more than tensors, or is a whole
            pickled module.
        MissingExtraError: torch is not installed.
    """
    require_torch()
    if not path.is_file():
        raise ImportModelError(f"{path}: no such weight file.")
    entries = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return _without_wrapper(_tensors(path, entries))


def load_weights_into(module: torch.nn.Module, path: Path) -> None:
    """Load a weight file into the module; every name and shape must match.

    Raises:
        ImportModelError: Names or shapes differ; the message lists the first few of each kind.
    """
    weights = load_state_dict(path)
    try:
        own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        given = {name: tuple(value.shape) for name, value in weights.items()}
        wrong = {name for name in own if name in given and own[name] != given[name]}
        matching = {name: value for name, value in weights.items() if name not in wrong}
        # The module's own hooks may rename keys (weight norm does), so PyTorch does the matching.
        result = module.load_state_dict(matching, strict=False)
    except RuntimeError as error:
        raise ImportModelError(
            f"{path} cannot be loaded into {type(module).__name__}: {error}"
        ) from error
    missing = [name for name in result.missing_keys if name not in wrong]
    shapes = [f"{name} is {given[name]}, needs {own[name]}" for name in own if name in wrong]
    parts = [
        _listed("missing", missing),
        _listed("unexpected", result.unexpected_keys),
        _listed("of another shape", shapes),
    ]
    if any(parts):
        raise ImportModelError(
            f"{path} does not fit {type(module).__name__}: {'; '.join(filter(None, parts))}. "
            f"Use the factory function the weights were trained with."
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


def _read_safetensors(path: Path) -> Any:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ImportModelError(f"{path}: not a safetensors file: {error}") from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _pickle_error(path, str(error)) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise ImportModelError(
                f"{path} is a TorchScript archive, not weights. Export the module with "
                f"torch.export.save, or give a factory function and its state_dict."
            ) from error
        raise ImportModelError(f"{path}: not a PyTorch weight file: {error}") from error


def _pickle_error(path: Path, text: str) -> ImportModelError:
    unsafe = re.search(r"GLOBAL ([\w.]+)", text)
    if not unsafe:
        return ImportModelError(f"{path}: not a PyTorch weight file, or damaged: {text[:200]}")
    return ImportModelError(
        f"{path} holds Python objects (the first is {unsafe.group(1)}) and not only tensors; "
        f"reading it would run code from the file, which TF2 never does. Save "
        f"module.state_dict() and give a factory function, or use torch.export.save."
    )


def _tensors(path: Path, entries: Any) -> dict[str, torch.Tensor]:
    """The weights themselves, taken out of the dict a training script keeps them in."""
    import torch

    while isinstance(entries, Mapping):
        if entries and all(isinstance(value, torch.Tensor) for value in entries.values()):
            return dict(entries)
        inner = next((k for k in CONTAINERS if isinstance(entries.get(k), Mapping)), None)
        if inner is None:
            keys = ", ".join(str(key) for key in list(entries)[:SHOWN])
            raise ImportModelError(
                f"{path} holds no weights: its entries are ({keys}). Allowed is a dict of tensors, "
                f"or one under {', '.join(CONTAINERS)}. Save module.state_dict()."
            )
        entries = entries[inner]
    raise ImportModelError(
        f"{path} holds a {type(entries).__name__}, not a dict of tensors. Save module.state_dict()."
    )


def _without_wrapper(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights
