"""What is written is read back equal, and equal models give equal bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_file_examples import (
    GraphBuilder,
    assert_same_graph,
    assert_same_value,
    model_of,
    random_array,
    random_graph,
)

from tf2 import _version
from tf2.data.presets import PRESETS
from tf2.errors import ModelFileError, VerifyError
from tf2.ir import FLOAT32, Attr, Feature, Graph, Node, TensorType
from tf2.ir.dtypes import PLAIN
from tf2.model_file import (
    CompressedModel,
    CompressionSettings,
    Source,
    SourceFile,
    read_manifest,
    read_model,
    write_model,
)


@pytest.mark.parametrize("seed", range(60))
def test_random_graph_is_read_back_identical(tmp_path: Path, seed: int) -> None:
    model = model_of(random_graph(seed))
    model.save(tmp_path / "a.tf2")
    found = CompressedModel.load(tmp_path / "a.tf2")
    assert_same_graph(found.graph, model.graph)
    assert found.manifest == model.manifest
    found.save(tmp_path / "b.tf2")
    assert (tmp_path / "a.tf2").read_bytes() == (tmp_path / "b.tf2").read_bytes()


def graph_with(*, attr: Attr | None = None, constant: np.ndarray | None = None) -> Graph:
    builder = GraphBuilder(np.random.default_rng(0))
    builder.types["x"] = TensorType(FLOAT32, (1, 2))
    inputs = ["x"] if constant is None else ["x", builder.constant("c", constant)]
    attrs = {} if attr is None else {"a": attr}
    out = builder.node("Custom", inputs, TensorType(FLOAT32, (1, 2)), "", **attrs)
    return Graph(
        name="g", inputs=("x",), outputs=(out,), nodes=tuple(builder.nodes), types=builder.types,
        constants=builder.constants,
    )  # fmt: skip


def through_file(graph: Graph, folder: Path) -> Graph:
    write_model(model_of(graph), folder / "m.tf2")
    return read_model(folder / "m.tf2").graph


@pytest.mark.parametrize(
    "attr",
    [
        0, -1, 2**63 - 1, 0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, float("inf"),
        float("-inf"), float("nan"), "", "text", "Infinity", "ü\n\x00", (), (1, 2), (1.0, 2.0),
        (1.0, float("inf")), ("a", ""), (1, 1.0, "1"), np.array(3.0), np.zeros((0, 3), np.int8),
        np.array([["a", "b"]], dtype=object), np.arange(6, dtype=np.uint16).reshape(2, 3),
    ],
    ids=repr,
)  # fmt: skip
def test_attribute_keeps_type_and_value(tmp_path: Path, attr: Attr) -> None:
    found = through_file(graph_with(attr=attr), tmp_path)
    assert_same_value(found.nodes[0].attrs["a"], attr)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("element", PLAIN)
def test_constant_of_every_element_type_is_kept(
    tmp_path: Path, element: str, shape: tuple[int, ...]
) -> None:
    data = random_array(np.random.default_rng(1), element, shape)
    assert_same_value(through_file(graph_with(constant=data), tmp_path).constants["c"], data)


def test_views_and_foreign_byte_order_are_stored_by_value(tmp_path: Path) -> None:
    view = np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::-3].T
    np.testing.assert_array_equal(
        through_file(graph_with(constant=view), tmp_path).constants["c"], view
    )
    foreign = np.array([1.5, -2.0], dtype=">f4")
    found = through_file(graph_with(attr=foreign), tmp_path).nodes[0].attrs["a"]
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("kind", ["pot4", "int8"])
def test_weights_that_are_views_are_stored_by_value(tmp_path: Path, kind: str) -> None:
    builder = GraphBuilder(np.random.default_rng(0))
    builder.types["x"] = TensorType(Feature(4, 0), (1, 5, 4, 4))
    y = builder.conv("x", 7, kind)
    weight = builder.constants["conv0/w"]
    builder.constants["conv0/w"] = np.asfortranarray(weight)
    graph = Graph(
        name="g", inputs=("x",), outputs=(y,), nodes=tuple(builder.nodes), types=builder.types,
        constants=builder.constants,
    )  # fmt: skip
    found = through_file(graph, tmp_path).constants["conv0/w"]
    np.testing.assert_array_equal(found, weight)


@pytest.mark.parametrize("value", [True, np.int64(1), np.float32(0.5)])
def test_numpy_scalars_become_plain_numbers(tmp_path: Path, value: object) -> None:
    found = through_file(graph_with(attr=value), tmp_path).nodes[0].attrs["a"]  # type: ignore[arg-type]
    assert type(found) in (int, float)
    assert found == value


def test_order_of_mappings_does_not_change_the_file(tmp_path: Path) -> None:
    graph = random_graph(5)
    reordered = replace(
        graph,
        types=dict(reversed(graph.types.items())),
        constants=dict(reversed(graph.constants.items())),
        nodes=tuple(replace(n, attrs=dict(reversed(n.attrs.items()))) for n in graph.nodes),
    )
    for name, each in (("a", graph), ("b", reordered)):
        write_model(model_of(each), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_manifest_is_read_back_equal_without_the_model(tmp_path: Path) -> None:
    model = model_of(
        random_graph(1),
        source=Source(
            name="net", format="caffe", model="net.prototxt", weights="net.caffemodel",
            input_shapes={"data": (1, 3, 8, 8)}, outputs=("prob",),
            files=(SourceFile(path="net.prototxt", sha256="0" * 64, bytes=12),),
        ),
        settings=CompressionSettings(keep=("conv1",), calibration_samples=64),
        preprocessing=PRESETS["torch-imagenet"],
        labels=("tench, Tinca tinca", "Ünïcode", ""),
        figures={"top1": 0.5, "worst_sqnr_db": float("inf"), "not_measured": float("nan")},
    )  # fmt: skip
    write_model(model, tmp_path / "m.tf2")
    found = read_manifest(tmp_path / "m.tf2")
    assert repr(found) == repr(model.manifest)  # equality would fail on NaN
    assert type(found) is type(model.manifest)


def test_file_has_the_versions_of_the_tool_that_wrote_it(tmp_path: Path) -> None:
    write_model(model_of(random_graph(1), tool_version="0.0.1"), tmp_path / "m.tf2")
    assert read_manifest(tmp_path / "m.tf2").tool_version == _version.__version__


def test_unverified_graph_is_not_written(tmp_path: Path) -> None:
    graph = random_graph(1)
    node = Node(name="late", op="Relu", inputs=("nothing",), outputs=("late",))
    with pytest.raises(VerifyError, match="late"):
        write_model(model_of(replace(graph, nodes=(*graph.nodes, node))), tmp_path / "m.tf2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (graph_with(attr=np.zeros(1, complex)), "complex128 cannot be stored"),
        (graph_with(attr=object()), "no int, float, str, tuple or array"),  # type: ignore[arg-type]
        (graph_with(attr="\ud800"), "cannot be written"),
        (replace(graph_with(), types={k: TensorType(FLOAT32, (-1,)) for k in ("x", "custom0.y")}),
         "no tensor type"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_read_back_are_not_written(
    tmp_path: Path, graph: Graph, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        write_model(model_of(graph), tmp_path / "m.tf2")
    assert not list(tmp_path.iterdir())
