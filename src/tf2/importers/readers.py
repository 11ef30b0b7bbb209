"""One reader a kind of model: each gives an ONNX model and says how to run the source itself.

Frameworks are imported inside the readers: who imports an ONNX file never waits for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf2.errors import ImportModelError
from tf2.importers import runtimes
from tf2.importers.kinds import FACTORY, Kind, sibling_weights
from tf2.importers.origin import Format
from tf2.importers.runtimes import Runtime

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; see `tf2.importers.load_model`."""

    model: str
    weights: Path | None
    input_shapes: Mapping[str, Sequence[int]] | Sequence[Sequence[int]] | None
    outputs: tuple[str, ...] | None

    def shapes_by_name(self, inputs: Sequence[str]) -> dict[str, Sequence[int]]:
        """Return the shapes by input name; unnamed ones belong to the inputs in order.

        Raises:
            ImportModelError: A name is unknown, or there are more shapes than inputs.
        """
        given = self.input_shapes or {}
        if not isinstance(given, Mapping):
            if len(given) > len(inputs):
                raise ImportModelError(
                    f"{self.model}: {len(given)} input shapes for {len(inputs)} inputs "
                    f"({', '.join(inputs)})"
                )
            return dict(zip(inputs, given, strict=False))
        unknown = [name for name in given if name not in inputs]
        if unknown:
            raise ImportModelError(
                f"{self.model} has no input {unknown[0]!r}; its inputs are {', '.join(inputs)}"
            )
        return dict(given)


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """A model in ONNX form, before it becomes a graph.

    Attributes:
        format: As `Origin` records it.
        name: Of the graph.
        proto: The model.
        files: Files and folders that were read.
        weights: The file of weights that was used.
        onnx_shapes: Shapes that the ONNX importer still has to set.
        runtime: Makes the function that runs the source itself.
    """

    format: Format
    name: str
    proto: onnx.ModelProto
    files: tuple[Path, ...]
    weights: Path | None = None
    onnx_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    runtime: Callable[[], Runtime]


def read_onnx_file(request: Request) -> SourceModel:
    """Read an ``.onnx`` file, its external data included."""
    from tf2.importers.onnx.load import loaded

    path = Path(request.model)
    model = loaded(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    _choose_outputs(model, request)
    return SourceModel(
        format="onnx",
        name=path.stem,
        proto=model,
        files=(path, *_external_data(path)),
        onnx_shapes=request.shapes_by_name(inputs),
        runtime=partial(runtimes.onnxruntime, path if request.outputs is None else model),
    )


def read_caffe_net(request: Request) -> SourceModel:
    """Read a ``.prototxt`` with the ``.caffemodel`` given or lying beside it."""
    from tf2.importers.caffe import read_caffe

    prototxt = Path(request.model)
    weights = request.weights or sibling_weights(prototxt)
    shapes = request.input_shapes or {}
    if not isinstance(shapes, Mapping):
        shapes = request.shapes_by_name(_caffe_inputs(prototxt))
    model = read_caffe(prototxt, weights, input_shapes=shapes, outputs=request.outputs)
    outputs = [value.name for value in model.graph.output]
    return SourceModel(
        format="caffe",
        name=model.graph.name or prototxt.stem,
        proto=model,
        files=(prototxt, weights),
        weights=weights,
        runtime=partial(runtimes.opencv, prototxt, weights, lambda: outputs),
    )


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
    _choose_outputs(model, request)
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
    _choose_outputs(model, request)
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
    return Runtime(name=name, run=lambda feeds: _only(run(feeds), outputs))


def _only(results: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    missing = [name for name in outputs if name not in results]
    if missing:
        raise ImportModelError(f"the source cannot return its inner value {missing[0]!r}")
    return {name: results[name] for name in outputs}


def _choose_outputs(model: onnx.ModelProto, request: Request) -> None:
    """Make the requested values the model's outputs; their shapes are inferred later."""
    import onnx

    if request.outputs is None:
        return
    known = {v.name: v for v in (*model.graph.value_info, *model.graph.output)}
    computed = {name for node in model.graph.node for name in node.output if name}
    for name in request.outputs:
        if name not in computed:
            raise ImportModelError(
                f"{request.model} has no value {name!r} to return; its outputs are "
                f"{', '.join(value.name for value in model.graph.output)}"
            )
    chosen = [known.get(name, onnx.ValueInfoProto(name=name)) for name in request.outputs]
    del model.graph.output[:]
    model.graph.output.extend(chosen)


def _external_data(path: Path) -> list[Path]:
    """Return the files that hold weights of an ``.onnx`` file, which the importer has checked."""
    import onnx
    from onnx import external_data_helper

    names = {
        external_data_helper.ExternalDataInfo(tensor).location
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
        if external_data_helper.uses_external_data(tensor)
    }
    return [path.parent / name for name in sorted(names)]


def _caffe_inputs(prototxt: Path) -> list[str]:
    from tf2.importers.caffe.net import read_net
    from tf2.importers.caffe.prototxt import parse_prototxt

    net = read_net(parse_prototxt(prototxt.read_bytes()))
    layers = [top for layer in net.layers if layer.type == "Input" for top in layer.tops]
    return [*(name for name, _ in net.inputs), *layers]


READERS: Mapping[Kind, Callable[[Request], SourceModel]] = {
    "onnx": read_onnx_file,
    "caffe": read_caffe_net,
    "factory": read_factory,
    "exported-program": read_program,
}
