"""The free batch: when it is given, how Reshape targets are opened, and when it stays fixed."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from onnx import helper, numpy_helper
from onnx_models import conv, model, one_node

from tf2.importers.check import largest_difference, onnx_runner
from tf2.importers.onnx import read_onnx


def reshape(target, dims=(1, 4, 6), *, after=()):
    nodes = [helper.make_node("Reshape", ["x", "t"], ["r" if after else "y"], name="flatten")]
    constants = {"t": np.array(target)}
    return model([*nodes, *after], inputs={"x": dims}, outputs=["y"], constants=constants)


@pytest.mark.parametrize("batch", [1, 4, "N"])
def test_is_free_whatever_batch_the_file_names(batch):
    graph = read_onnx(conv((batch, 3, 8, 8)))
    assert graph.batch_is_free
    assert graph.shape("x") == (1, 3, 8, 8)
    assert graph.shape("y") == (1, 4, 6, 6)


@pytest.mark.parametrize(
    ("target", "opened"),
    [
        ([1, 24], [-1, 24]),
        ([1, -1], [-1, 24]),
        ([0, 24], [0, 24]),
        ([-1, 24], [-1, 24]),
        ([1, 0, 3, 2], [-1, 0, 3, 2]),
        ([1, 6, -1], [-1, 6, 4]),
    ],
)
def test_opens_a_target_that_bakes_the_batch(target, opened):
    graph = read_onnx(reshape(target))
    assert graph.batch_is_free
    assert graph.constants[graph.nodes[0].inputs[1]].tolist() == opened


def test_a_shuffle_that_mixes_samples_keeps_the_batch_fixed():
    shuffle = [
        helper.make_node("Transpose", ["r"], ["p"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["p", "back"], ["y"]),
    ]
    source = reshape([2, 2, 6], after=shuffle)
    source.graph.initializer.append(numpy_helper.from_array(np.array([1, 4, 6]), "back"))
    assert not read_onnx(source).batch_is_free  # axis 1 of the transposed value mixes the samples


def test_a_target_computed_from_the_shape_becomes_a_constant():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "rest": np.array([-1])}
    graph = read_onnx(model(nodes, inputs={"x": ("N", 4, 6)}, outputs=["y"], constants=constants))
    assert [node.op for node in graph.nodes] == ["Reshape"]
    assert graph.constants[graph.nodes[0].inputs[1]].tolist() == [0, -1]


def test_sizes_computed_from_the_shape_become_scales():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=2),
        helper.make_node("Concat", ["s", "hw"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest"),
    ]
    source = model(
        nodes, inputs={"x": ("N", 2, 4, 4)}, outputs=["y"], constants={"hw": np.array([8, 12])}
    )
    graph = read_onnx(source)
    assert [node.op for node in graph.nodes] == ["Resize"]
    assert graph.constants[graph.nodes[0].inputs[2]].tolist() == [1, 1, 2, 3]
    assert graph.batch_is_free
    assert largest_difference(graph, onnx_runner(source), seed=0, batch=2).absolute == 0


@pytest.mark.parametrize(
    "source",
    [
        one_node("Softmax", (2, 3), axis=0),
        one_node("Transpose", (2, 2), perm=[1, 0]),
        one_node("CumSum", (2, 3)),
        reshape([2, 12], dims=(4, 6)),
        reshape([24], dims=(1, 4, 6)),
    ],
    ids=["softmax", "transpose", "cumsum", "regroup", "flat"],
)
def test_stays_fixed_where_samples_touch_each_other(source, caplog):
    if source.graph.node[0].op_type == "CumSum":
        source.graph.node[0].input.append("axis")
        source.graph.initializer.append(numpy_helper.from_array(np.array(0), "axis"))
    with caplog.at_level(logging.INFO, logger="tf2"):
        graph = read_onnx(source)
    assert not graph.batch_is_free
    assert "the batch stays fixed" in caplog.text
    assert largest_difference(graph, onnx_runner(source), seed=0).relative < 1e-6


def test_a_fixed_batch_has_the_size_that_was_given():
    source = one_node("Softmax", ("N", 3), axis=0)
    assert read_onnx(source, input_shapes={"x": (5, 3)}).shape("y") == (5, 3)
    assert read_onnx(source).shape("y") == (1, 3)


def test_a_table_among_the_inputs_keeps_the_batch_fixed():
    nodes = [helper.make_node("MatMul", ["x", "table"], ["y"])]
    graph = read_onnx(model(nodes, inputs={"x": (1, 3), "table": (3, 2)}, outputs=["y"]))
    assert not graph.batch_is_free
