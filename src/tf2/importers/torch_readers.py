"""Readers of PyTorch models; torch is imported when one is called."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tf2.errors import ImportModelError
from tf2.importers.kinds import FACTORY
from tf2.importers.request import Request, SourceModel, choose_outputs, only
from tf2.importers.runtimes import Runtime


def read_factory(request: Request) -> SourceModel:
    """Run the function that makes a torch module, load its weights, export it."""
    from tf2.importers.pytorch import export_module, load_factory
    from tf2.importers.pytorch.reference import forward_names

    if not request.input_shapes:
        raise ImportModelError(
            f"{request.model}: a PyTorch module does not say the shape of its inputs. Give "
            f"--input-shape 1,3,224,224 (input_shapes=[(1, 3, 224, 224)]), one for each input"
        )
    module = load_factory(request.model, request.weights)
    names = forward_names(module, len(request.input_shapes))
    shapes = request.shapes_by_name(names)
    model = export_module(module, [shapes[name] for name in names])
    choose_outputs(model, request)
    match = FACTORY.fullmatch(request.model)
    assert match is not None  # that is how it was told to be a factory
    code = [Path(match["source"])] if match["source"].endswith(".py") else []
    return SourceModel(
        format="pytorch",
        name=match["attribute"],
        proto=model,
        files=(*code, *([request.weights] if request.weights else [])),
        weights=request.weights,
        runtime=partial(_torch_runtime, module, request.outputs),
    )


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
