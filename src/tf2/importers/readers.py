"""One reader a kind of model: each gives an ONNX model and says how to run the source itself.

Frameworks are imported inside the readers: who imports an ONNX file never waits for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tf2.importers import runtimes
from tf2.importers.kinds import Kind, sibling_weights
from tf2.importers.request import Request, SourceModel, choose_outputs
from tf2.importers.tensorflow_readers import read_frozen, read_keras_file, read_saved
from tf2.importers.torch_readers import read_factory, read_program

if TYPE_CHECKING:
    import onnx

    from tf2.importers.caffe.net import Net


def read_onnx_file(request: Request) -> SourceModel:
    """Read an ``.onnx`` file, its external data included."""
    from tf2.importers.onnx.load import loaded

    path = Path(request.model)
    model = loaded(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    choose_outputs(model, request)
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
    return SourceModel(
        format="caffe",
        # Nets without a name are called "caffe" by their reader.
        name=model.graph.name if model.graph.name != "caffe" else weights.stem,
        proto=model,
        files=(prototxt, weights),
        weights=weights,
        runtime=partial(runtimes.opencv, prototxt, weights, _places(prototxt, model)),
    )


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
    net = _caffe_net(prototxt)
    layers = [top for layer in net.layers if layer.type == "Input" for top in layer.tops]
    return [*(name for name, _ in net.inputs), *layers]


def _places(prototxt: Path, model: onnx.ModelProto) -> dict[str, runtimes.CaffeOutput]:
    """Return the layer that writes each output last: OpenCV knows layers and not blobs."""
    writers = {
        top: (x.name, i) for x in _caffe_net(prototxt).layers for i, top in enumerate(x.tops)
    }
    places: dict[str, runtimes.CaffeOutput] = {}
    for value in model.graph.output:
        layer, index = writers[value.name]
        dims = value.type.tensor_type.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
        places[value.name] = runtimes.CaffeOutput(layer=layer, index=index, shape=shape)
    return places


def _caffe_net(prototxt: Path) -> Net:
    from tf2.importers.caffe.net import read_net
    from tf2.importers.caffe.prototxt import parse_prototxt

    return read_net(parse_prototxt(prototxt.read_bytes()))


READERS: Mapping[Kind, Callable[[Request], SourceModel]] = {
    "onnx": read_onnx_file,
    "caffe": read_caffe_net,
    "factory": read_factory,
    "exported-program": read_program,
    "keras": read_keras_file,
    "saved-model": read_saved,
    "frozen-graph": read_frozen,
}
