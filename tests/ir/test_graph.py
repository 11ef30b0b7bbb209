import numpy as np
import pytest
from integer_graphs import residual_block

from tf2.errors import VerifyError
from tf2.ir import FLOAT32, Feature, TensorType


def test_producers_name_the_writer_of_each_value():
    graph = residual_block()
    assert graph.producers["y"] is graph.node("conv")
    assert "image" not in graph.producers
    assert "w" not in graph.producers


def test_users_are_in_graph_order_once_each():
    graph = residual_block()
    assert [node.name for node in graph.users["x"]] == ["conv", "sum"]
    assert "scores" not in graph.users


def test_an_unknown_node_is_refused_by_name():
    with pytest.raises(VerifyError, match="graph 'block' has no node 'relu'"):
        residual_block().node("relu")


def test_a_sole_user_is_the_only_reader_of_what_is_no_output():
    graph = residual_block()
    assert graph.sole_user("y") is graph.node("pool")
    assert graph.sole_user("x") is None  # two readers
    assert graph.sole_user("scores") is None  # no reader
    assert graph.replaced(outputs=("y", "scores")).sole_user("y") is None


def test_constants_and_shapes_by_name():
    graph = residual_block()
    data = graph.constant("b")
    assert data is not None
    assert data.tolist() == [5, -7]
    assert graph.constant("x") is None
    assert graph.constant("") is None
    assert graph.shape("a") == (1, 2, 1, 1)


def test_attributes_have_defaults_and_cannot_be_changed_in_place():
    conv = residual_block().node("conv")
    assert conv.kind == "tf2.Conv"
    assert (conv.attr("high", 127), conv.attr("group", 1)) == (95, 1)
    assert conv.with_attrs(high=127).attr("high", 0) == 127
    assert conv.attr("high", 0) == 95
    with pytest.raises(TypeError):
        conv.attrs["high"] = 127  # type: ignore[index]


def test_replacing_nodes_drops_what_is_then_unused():
    graph = residual_block()
    short = graph.replaced(nodes=graph.nodes[:2], outputs=("y",))
    assert set(short.types) == {"image", "x", "w", "b", "m", "s", "y"}
    assert set(short.constants) == {"w", "b", "m", "s"}


def test_replacing_overwrites_types_and_constants():
    graph = residual_block()
    other = graph.replaced(
        types={"z": TensorType(Feature(1, 0), (1, 1))}, constants={"fb": np.array([9], np.int32)}
    )
    assert str(other.types["z"]) == "s8q1[1,1]"
    assert other.constants["fb"].tolist() == [9]
    assert graph.constants["fb"].tolist() == [0]


def test_types_know_their_size_and_the_range_of_their_values():
    assert TensorType(FLOAT32, (1, 2, 4, 4)).size == 32
    assert TensorType(FLOAT32, ()).size == 1
    signed, unsigned = Feature(3, 0), Feature(3, -128)
    assert (signed.scale, signed.min, signed.max) == (0.125, -16.0, 15.875)
    assert (unsigned.scale, unsigned.min, unsigned.max) == (0.125, 0.0, 31.875)
