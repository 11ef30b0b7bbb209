"""Every refusal of the ONNX importer: the error's class, and that it says what to do."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import conv, model, one_node

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.onnx import load, read_onnx
from tf2.importers.onnx.single_precision import WEIGHT_OPS


def test_a_missing_file(tmp_path):
    with pytest.raises(ImportModelError, match="cannot be read"):
        read_onnx(tmp_path / "none.onnx")


def test_a_truncated_file(tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(conv().SerializeToString()[:-40])
    with pytest.raises(ImportModelError, match="truncated"):
        read_onnx(path)


def test_a_foreign_file(tmp_path):
    path = tmp_path / "picture.onnx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ImportModelError, match="no ONNX model"):
        read_onnx(path)


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises(ImportModelError, match=r"empty\.onnx is empty"):
        read_onnx(path)


def test_a_file_too_large_for_one_message(tmp_path, monkeypatch):
    path = tmp_path / "large.onnx"
    path.write_bytes(conv().SerializeToString())
    monkeypatch.setattr(load, "MAX_FILE_BYTES", 100)
    with pytest.raises(ImportModelError, match="at most 2 GiB"):
        read_onnx(path)


@pytest.mark.parametrize("opset", [6, 99])
def test_opsets_out_of_range(opset):
    with pytest.raises(ImportModelError, match="opsets 7 to"):
        read_onnx(conv(opset=opset))


def test_an_unknown_domain():
    node = helper.make_node("Fancy", ["x"], ["y"], name="f", domain="my.ops")
    with pytest.raises(UnsupportedOpError, match=r"'f'.*'my\.ops' is unknown"):
        read_onnx(model([node], inputs={"x": (1, 3)}, outputs=["y"]))


def test_an_operator_younger_than_our_opset():
    source = one_node("CumProd", (2, 3))
    source.graph.node[0].input.append("axis")
    source.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis"))
    source.opset_import[0].version = 26
    with pytest.raises(UnsupportedOpError, match="does not exist at opset 21"):
        read_onnx(source)


def test_an_attribute_younger_than_our_opset():
    source = one_node("SpaceToDepth", (1, 2, 4, 4), blocksize=2, mode="CRD")
    source.opset_import[0].version = 28
    with pytest.raises(UnsupportedOpError, match="no attribute 'mode'"):
        read_onnx(source)


def test_an_operator_that_onnx_runtime_has_not():
    source = model(
        [helper.make_node("Max", ["x", "x"], ["y"], name="largest")],
        inputs={"x": (1, 3)},
        outputs=["y"],
        dtype=TensorProto.INT16,
    )
    with pytest.raises(UnsupportedOpError, match=r"'largest': ONNX Runtime cannot run it"):
        read_onnx(source)


def test_control_flow():
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "body",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["b"], to=TensorProto.BOOL),
        helper.make_node("If", ["b"], ["y"], name="choice", then_branch=body, else_branch=body),
    ]
    with pytest.raises(UnsupportedOpError, match=r"'choice': its condition depends on the input"):
        read_onnx(model(nodes, inputs={"x": (1, 3)}, outputs=["y"]))


@pytest.mark.parametrize("op", ["NonZero", "Unique"])
def test_an_output_whose_shape_depends_on_the_data(op):
    with pytest.raises(UnsupportedOpError, match="extract_model"):
        read_onnx(one_node(op, (3, 4)))


def test_a_shape_that_is_an_input():
    source = one_node("Reshape", (2, 3))
    source.graph.node[0].input.append("shape")
    source.graph.input.append(helper.make_tensor_value_info("shape", TensorProto.INT64, (1,)))
    with pytest.raises(UnsupportedOpError, match="Reshape"):
        read_onnx(source)


def test_element_types_that_the_graph_does_not_hold():
    source = one_node("Identity", (1, 3))
    source.graph.input[0].type.tensor_type.elem_type = TensorProto.INT4
    source.graph.output[0].type.tensor_type.elem_type = TensorProto.INT4
    with pytest.raises(ImportModelError, match="elements of int4; allowed are float32"):
        read_onnx(source)


def test_a_sequence_as_input():
    source = one_node("Identity", (1, 3))
    del source.graph.input[:]
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, (1, 3))
    source.graph.input.append(sequence)
    with pytest.raises(ImportModelError, match="is a sequence; only tensors"):
        read_onnx(source)


def test_open_spatial_sizes_with_a_shape_to_give():
    with pytest.raises(ImportModelError, match=r"--input-shape x=1,3,224,224"):
        read_onnx(conv(("N", 3, "H", "W")))


def test_an_input_without_a_shape():
    with pytest.raises(ImportModelError, match=r"--input-shape x="):
        read_onnx(conv(None))


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 3, 0, 8)])
def test_given_shapes_of_the_wrong_rank_or_size(shape):
    with pytest.raises(ImportModelError, match="cannot have shape"):
        read_onnx(conv(), input_shapes={"x": shape})


def test_a_given_shape_for_no_input():
    with pytest.raises(ImportModelError, match="there is no input 'data'; the model reads x"):
        read_onnx(conv(), input_shapes={"data": (1, 3, 8, 8)})


def test_shapes_that_do_not_fit():
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="classify")]
    weight = {"w": np.ones((3, 2), np.float32)}
    source = model(nodes, inputs={"x": (1, 5)}, outputs=["y"], constants=weight)
    with pytest.raises(ImportModelError, match=r"Gemm node 'classify' do not fit: x float32\[1,5"):
        read_onnx(source)


def test_too_few_axes():
    with pytest.raises(ImportModelError, match=r"reads float32\[5\]; it needs 2 axes or more"):
        read_onnx(one_node("LRN", (5,), size=3))


def test_shapes_that_do_not_fit_when_it_runs():
    with pytest.raises(ImportModelError, match=r"does not fit its input shapes.*Name:'conv'"):
        read_onnx(conv(), input_shapes={"x": (1, 5, 8, 8)})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value):
    source = conv()
    weight = numpy_helper.to_array(source.graph.initializer[0]).copy()
    weight[0, 0, 0, 0] = value
    source.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    with pytest.raises(ImportModelError, match=r"tensor 'w', read by Conv node 'conv'"):
        read_onnx(source)


def test_infinite_bounds_are_no_weights():
    assert "Clip" not in WEIGHT_OPS
    nodes = [helper.make_node("Clip", ["x", "low"], ["y"])]
    low = {"low": np.float32(-np.inf)}
    read_onnx(model(nodes, inputs={"x": (1, 3)}, outputs=["y"], constants=low))


def test_a_tensor_with_less_data_than_its_shape():
    source = conv()
    source.graph.initializer[0].raw_data = bytes(8)
    with pytest.raises(ImportModelError, match="malformed"):
        read_onnx(source)


@pytest.mark.parametrize(
    ("op", "shape"), [("ConstantOfShape", [10**6, 10**6]), ("Expand", [10**5, 10**5, 1])]
)
def test_constants_that_explode(op, shape):
    nodes = [
        helper.make_node(op, ["one", "s"] if op == "Expand" else ["s"], ["c"], name="bomb"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    constants = {"s": np.array(shape), "one": np.ones((1, 1, 1), np.float32)}
    with pytest.raises(ImportModelError, match="'bomb'"):
        read_onnx(model(nodes, inputs={"x": (1, 1)}, outputs=["y"], constants=constants))


def test_activations_that_explode():
    with pytest.raises(ImportModelError, match="too large"):
        read_onnx(conv(), input_shapes={"x": (1, 3, 100_000, 100_000)})


def test_values_that_nothing_writes():
    source = conv()
    source.graph.node[1].input[0] = "nowhere"
    with pytest.raises(ImportModelError, match="reads 'nowhere', which nothing before it writes"):
        read_onnx(source)


def test_external_data_of_a_model_in_memory():
    source = conv()
    tensor = source.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(ImportModelError, match=r"pass the path of its \.onnx file"):
        read_onnx(source)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "none.bin", "link.bin"])
def test_external_data_outside_the_folder(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(432))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    _save_external(folder / "m.onnx", location)
    with pytest.raises(ImportModelError, match="no file in the model's folder"):
        read_onnx(folder / "m.onnx")


def test_external_data_that_is_too_short(tmp_path):
    _save_external(tmp_path / "m.onnx", "weights.bin")
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    with pytest.raises(ImportModelError):
        read_onnx(tmp_path / "m.onnx")


def test_external_data_beside_the_model_is_read(tmp_path):
    source = conv()
    weight = numpy_helper.to_array(source.graph.initializer[0])
    _save_external(tmp_path / "m.onnx", "weights.bin")
    (tmp_path / "weights.bin").write_bytes(weight.tobytes())
    graph = read_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(graph.constants["w"], weight)


def _save_external(path, location):
    source = conv()
    tensor = source.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(source.SerializeToString())
