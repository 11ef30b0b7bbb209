"""A module run in PyTorch itself, under the names its export has."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf2.errors import ImportModelError
from tf2.importers.pytorch.extra import require_torch

if TYPE_CHECKING:
    import torch

Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def reference_runner(
    module: torch.nn.Module, *, input_names: Sequence[str] | None = None
) -> Runner:
    """Return a function that runs the module in PyTorch, taking and giving what its export does.

    Evaluation mode, no gradients, on the device the module is on; the module is left as it was.

    Args:
        module: The module given to export_module, or ``program.module()`` of a loaded program.
        input_names: As given to export_module.
    """
    require_torch()
    import torch

    def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = input_names or forward_names(module, len(feeds))
        arrays = [np.ascontiguousarray(feeds[name]) for name in names]
        with evaluating(module), torch.no_grad():
            result = module(*(torch.tensor(a, device=device_of(module)) for a in arrays))
        return {name: value.cpu().numpy() for name, value in named_tensors(result).items()}

    return run


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every submodule's own training flag restored after."""
    import torch

    if isinstance(module, torch.fx.GraphModule):  # captured: its mode is fixed, eval() raises
        yield
        return
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in flags.items():
            part.training = training


def device_of(module: torch.nn.Module) -> torch.device:
    """Return where the module's parameters are."""
    import torch

    return next((p.device for p in module.parameters()), torch.device("cpu"))


def forward_names(module: torch.nn.Module, count: int) -> list[str]:
    """Return names for ``count`` inputs: ``forward``'s own, ``input_3`` and so on in its *args."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in positional][:count]
    return names + [f"input_{i}" for i in range(len(names), count)]


def named_tensors(result: Any, name: str = "output") -> dict[str, torch.Tensor]:
    """Return the tensors ``forward`` returned, in torch.export's order, under stable names.

    Raises:
        ImportModelError: There is something else among them.
    """
    import torch

    if isinstance(result, torch.Tensor):
        return {name: result}
    if isinstance(result, Mapping):
        parts = [(f"{name}_{key}", value) for key, value in result.items()]
    elif isinstance(result, (list, tuple)):
        parts = [(f"{name}_{i}", value) for i, value in enumerate(result)]
    else:
        raise ImportModelError(
            f"forward() returns a {type(result).__name__}; allowed are tensors and lists, tuples "
            f"and dicts of them. Wrap the module in one that returns its tensors."
        )
    return {
        key: tensor for part, value in parts for key, tensor in named_tensors(value, part).items()
    }
