"""Readers of PyTorch models; torch is imported when one is called."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf2.errors import ImportModelError
from tf2.importers.kinds import FACTORY
from tf2.importers.request import Request, SourceModel, choose_outputs, only
from tf2.importers.runtimes import Runtime

if TYPE_CHECKING:
    import onnx


def read_factory(request: Request) -> SourceModel:
    """Run the function that makes a torch module, load its weights, export it."""
    from tf2.importers.pytorch import load_factory

    _check_shapes(request)
    module = load_factory(request.model, request.weights)
    match = FACTORY.fullmatch(request.model)
    assert match is not None  # that is how it was told to be a factory
    code = [Path(match["source"])] if match["source"].endswith(".py") else []
    return SourceModel(
        format="pytorch",
        name=match["attribute"],
        proto=_exported(module, request),
        files=(*code, *([request.weights] if request.weights else [])),
        weights=request.weights,
        runtime=partial(_torch_runtime, module, request.outputs),
    )


def read_module(module: Any, request: Request) -> SourceModel:
    """Export a torch module that is in memory already."""
    _check_shapes(request)
    return SourceModel(
        format="graph",
        name=type(module).__name__,
        proto=_exported(module, request),
        files=(),
        runtime=partial(_torch_runtime, module, request.outputs),
    )


def is_module(model: object) -> bool:
    """Return whether an object is a torch module, without importing torch to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _check_shapes(request: Request) -> None:
    if not request.input_shapes:
        raise ImportModelError(
            f"{request.model}: a PyTorch module does not say the shape of its inputs. Give "
            f"--input-shape 1,3,224,224 (input_shapes=[(1, 3, 224, 224)]), one for each input"
        )


def _exported(module: Any, request: Request) -> onnx.ModelProto:
    from tf2.importers.pytorch import export_module
    from tf2.importers.pytorch.reference import forward_names

    names = forward_names(module, len(request.input_shapes or ()))
    shapes = request.shapes_by_name(names)
    model = export_module(module, [shapes[name] for name in names])
    choose_outputs(model, request)
    return model


def read_program(request: Request) -> SourceModel:
    """Read a ``torch.export.save``'d program."""
    from tf2.importers.pytorch import load_exported_program, read_exported_program

    path = Path(request.model)
    model = read_exported_program(path)
    inputs = [value.name for value in model.graph.input]
    choose_outputs(model, request)
    return SourceModel(
        format="pytorch",
        name=path.stem,
        proto=model,
        files=(path,),
        onnx_shapes=request.shapes_by_name(inputs),
        runtime=lambda: _torch_runtime(load_exported_program(path).module(), request.outputs),
    )


def _torch_runtime(module: Any, outputs: tuple[str, ...] | None) -> Runtime:
    import torch

    from tf2.importers.pytorch import reference_runner

    run = reference_runner(module)
    name = f"PyTorch {torch.__version__}"
    if outputs is None:
        return Runtime(name=name, run=run)
    return Runtime(name=name, run=lambda feeds: only(run(feeds), outputs))
