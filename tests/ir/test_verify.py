"""Every rule of verify, each broken once in a graph that is otherwise legal."""

from dataclasses import replace

import numpy as np
import pytest
from integer_graphs import (
    SIGNED,
    UNSIGNED,
    plain_node,
    residual_block,
    tf2_node,
    with_constant,
    with_node,
    with_type,
)

from tf2.errors import VerifyError
from tf2.ir import FLOAT32, Feature, Graph, Plain, TensorType, verify


def refuse(graph: Graph, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(graph)


def test_a_legal_graph_is_returned_as_it_is():
    graph = residual_block()
    assert verify(graph) is graph


def test_refuses_a_constant_of_another_shape_than_its_type():
    graph = with_type(residual_block(), b=TensorType(Plain("int32"), (3,)))
    refuse(graph, r"constant 'b' has shape \(2,\), its type is int32\[3\]")


def test_refuses_a_constant_of_another_element_type():
    graph = with_type(residual_block(), b=TensorType(Plain("int64"), (2,)))
    refuse(graph, r"constant 'b' holds int32, its type is int64\[2\]")


def test_takes_feature_constants_as_int8_and_strings_as_objects():
    graph = residual_block()
    extra = {"kept": np.zeros(2, np.int8), "t": np.array(["a"], object)}
    types = {"kept": TensorType(SIGNED, (2,)), "t": TensorType(Plain("string"), (1,))}
    verify(replace(graph, constants={**graph.constants, **extra}, types={**graph.types, **types}))


def test_refuses_a_value_without_a_type():
    graph = residual_block()
    types = {name: t for name, t in graph.types.items() if name != "y"}
    refuse(replace(graph, types=types), r"value 'y' has no type \(1 such values\)")


def test_refuses_two_nodes_of_one_name():
    graph = with_node(residual_block(), "sum", lambda n: replace(n, name="conv"))
    refuse(graph, "two nodes are named 'conv'")


def test_refuses_a_node_that_reads_what_is_written_later():
    graph = residual_block()
    refuse(replace(graph, nodes=graph.nodes[::-1]), "'dequantize' reads 'z' before it is written")


def test_refuses_two_writers_of_one_value():
    graph = with_node(residual_block(), "pool", lambda n: replace(n, outputs=("y",)))
    refuse(graph, "'pool' writes 'y', which exists already")


def test_refuses_a_graph_output_that_nothing_writes():
    graph = with_type(residual_block(), lost=TensorType(FLOAT32, (1,)))
    refuse(replace(graph, outputs=("lost",)), "graph output 'lost' is written by no node")


def test_refuses_an_unknown_domain():
    graph = with_node(residual_block(), "pool", lambda n: replace(n, domain="ai.onnx.ml"))
    refuse(graph, r"node 'pool': domain 'ai\.onnx\.ml' is not one of")


def test_refuses_an_unknown_integer_operator():
    graph = with_node(residual_block(), "sum", lambda n: replace(n, op="Mul"))
    refuse(graph, "node 'sum': there is no integer operator 'Mul'")


@pytest.mark.parametrize("op", ["Relu", "Resize", "Softmax"])
def test_refuses_float_operators_on_feature_bytes(op: str):
    graph = with_node(residual_block(), "flat", lambda n: replace(n, op=op))
    refuse(graph, f"{op} node 'flat' cannot act on feature bytes")


def test_refuses_feature_bytes_as_a_later_operand():
    graph = with_node(residual_block(), "flat", lambda n: replace(n, inputs=("fw", "a")))
    graph = with_type(graph, f=TensorType(FLOAT32, (1, 2)))
    refuse(graph, "Flatten node 'flat' cannot act on feature bytes")


def test_refuses_a_byte_mover_that_changes_the_format():
    graph = with_type(residual_block(), f=TensorType(Feature(5, 0), (1, 2)))
    refuse(graph, "Flatten node 'flat' moves bytes of one format, found s8q4, s8q5")


def test_refuses_a_byte_mover_from_bytes_to_floats():
    graph = with_type(residual_block(), f=TensorType(FLOAT32, (1, 2)))
    refuse(graph, "'flat' moves bytes of one format, found float32, s8q4")


def test_refuses_a_concat_of_two_formats():
    graph = residual_block()
    concat = plain_node("concat", "Concat", ["x", "y"], "c", axis=1)
    graph = with_type(graph, c=TensorType(SIGNED, (1, 4, 4, 4)))
    refuse(replace(graph, nodes=(*graph.nodes, concat)), "found s8q4, u8q3")


@pytest.mark.parametrize(
    ("value", "node"), [("x", "quantize"), ("scores", "dequantize"), ("y", "conv"), ("r", "sum")]
)
def test_refuses_an_integer_node_between_the_wrong_kinds_of_type(value: str, node: str):
    graph = residual_block()
    wrong = SIGNED if value == "scores" else FLOAT32
    graph = with_type(graph, **{value: TensorType(wrong, graph.shape(value))})
    refuse(graph, f"node '{node}' cannot take")


@pytest.mark.parametrize("count", [1, 4, 6])
def test_refuses_a_conv_with_a_missing_operand(count: int):
    operands = ("x", "w", "b", "m", "s", "m", "s")
    graph = with_node(residual_block(), "conv", lambda n: replace(n, inputs=operands[:count]))
    refuse(graph, "tf2.Conv node 'conv' needs 4 or 6 constant inputs after x")


def test_refuses_a_conv_with_computed_weights():
    operands = ("x", "x", "b", "m", "s")
    graph = with_node(residual_block(), "conv", lambda n: replace(n, inputs=operands))
    refuse(graph, "needs 4 or 6 constant inputs")


def test_refuses_per_channel_operands_of_another_length():
    graph = with_constant(residual_block(), m=np.ones(3, np.int32))
    refuse(graph, r"per-channel inputs must be \(2,\)")


@pytest.mark.parametrize("weight", [3, 127, -128, 65])
def test_refuses_a_weight_that_is_no_power_of_two(weight: int):
    weights = np.array([1, weight, 0, 2], np.int8).reshape(2, 2, 1, 1)
    graph = with_constant(residual_block(), w=weights)
    refuse(graph, "'conv': a weight is not 0 or")
    verify(with_node(graph, "conv", lambda n: n.with_attrs(weight_kind="int8")))


@pytest.mark.parametrize("multiplier", [-1, 256])
def test_refuses_a_multiplier_beyond_8_bits(multiplier: int):
    graph = with_constant(residual_block(), m=np.array([1, multiplier], np.int32))
    refuse(graph, r"tf2.Conv node 'conv': multipliers must be 0\.\.255")


@pytest.mark.parametrize(
    ("node", "constant", "zero_point", "bound"),
    [("conv", "s", "unsigned", 16), ("full", "fs", "signed", 17)],
)
def test_refuses_a_shift_beyond_the_bound(node: str, constant: str, zero_point: str, bound: int):
    graph = residual_block()
    verify(with_constant(graph, **{constant: np.full_like(graph.constants[constant], bound)}))
    for shift in (-1, bound + 1):
        wrong = np.full_like(graph.constants[constant], shift)
        message = rf"node '{node}': shifts must be 0\.\.{bound} into .*, found {shift}"
        refuse(with_constant(graph, **{constant: wrong}), message)


def test_holds_the_second_multiplier_to_the_same_bounds():
    graph = with_constant(residual_block(), s2=np.array([0, 17], np.int32))
    operands = ("x", "w", "b", "m", "s", "m", "s2")
    graph = with_node(graph, "conv", lambda n: replace(n, inputs=operands))
    refuse(graph, r"shifts must be 0\.\.16")


@pytest.mark.parametrize("bounds", [{"low": 5, "high": 4}, {"low": -129}, {"high": 128}])
def test_refuses_bounds_that_are_no_bytes_in_order(bounds: dict[str, int]):
    for name in ("conv", "sum"):
        graph = with_node(residual_block(), name, lambda n: n.with_attrs(**bounds))
        refuse(graph, f"node '{name}': -128 <= low <= high <= 127 must hold")


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 2, 4), (1, 2, 4, 4, 1)])
def test_refuses_a_conv_result_that_does_not_fit_its_weights(shape: tuple[int, ...]):
    graph = with_type(residual_block(), y=TensorType(UNSIGNED, shape))
    refuse(graph, "tf2.Conv node 'conv' cannot take")


@pytest.mark.parametrize("groups", [2, 3])
def test_refuses_groups_that_do_not_divide_the_channels(groups: int):
    graph = with_node(residual_block(), "conv", lambda n: n.with_attrs(group=groups))
    refuse(graph, f"in {groups} groups")


def test_refuses_groups_without_spatial_axes():
    graph = with_constant(residual_block(), fw=np.array([[4]], np.int8))
    graph = with_node(graph, "full", lambda n: n.with_attrs(group=2))
    refuse(graph, "0 takes one group")


@pytest.mark.parametrize("length", [3, 5])
def test_refuses_a_conv_result_of_the_wrong_size(length: int):
    graph = with_type(residual_block(), y=TensorType(UNSIGNED, (1, 2, 4, length)))
    refuse(graph, "node 'conv': .* is not what its windows make of")


@pytest.mark.parametrize("length", [0, 3])
def test_refuses_an_average_of_the_wrong_size(length: int):
    graph = with_type(residual_block(), a=TensorType(SIGNED, (1, 2, 1, length)))
    refuse(graph, "node 'mean': .* is not what its windows make of")


@pytest.mark.parametrize(
    ("attrs", "message"),
    [({"multiplier": 256}, r"multipliers must be 0\.\.255"), ({"shift": 18}, r"must be 0\.\.17")],
)
def test_holds_an_average_to_the_bounds_of_a_rescaling(attrs: dict[str, int], message: str):
    graph = with_node(residual_block(), "mean", lambda n: n.with_attrs(**attrs))
    refuse(graph, f"node 'mean': .*{message}")


def test_refuses_an_average_without_its_multiplier():
    graph = with_node(residual_block(), "mean", lambda n: replace(n, attrs={"shift": 4}))
    refuse(graph, "'mean' needs a multiplier and a shift")


def test_refuses_accumulators_that_could_leave_int32():
    largest = 2**31 - 1 - (127 * 1 + 128 * 64)  # signed x, weights 1 and -64
    verify(with_constant(residual_block(), b=np.array([largest, 0], np.int32)))
    graph = with_constant(residual_block(), b=np.array([largest + 1, 0], np.int32))
    refuse(graph, r"accumulators may reach .*\.\.2147483648, beyond int32")


@pytest.mark.parametrize(
    ("frac_bits", "legal"), [(-10, True), (-11, False), (17, True), (18, False)]
)
def test_refuses_an_addition_of_too_different_scales(frac_bits: int, legal: bool):
    graph = with_type(residual_block(), r=TensorType(Feature(frac_bits, 0), (1, 2, 4, 4)))
    graph = with_type(graph, a=TensorType(Feature(frac_bits, 0), (1, 2, 1, 1)))
    graph = with_type(graph, f=TensorType(Feature(frac_bits, 0), (1, 2)))
    if legal:
        verify(graph)
    else:
        refuse(graph, "tf2.Add node 'sum': frac_bits must lie within 14 of each other")


def test_refuses_an_addition_of_a_feature_and_a_constant():
    addition = tf2_node("sum", "Add", ["x", "w"], "r")
    graph = with_node(residual_block(), "sum", lambda _: addition)
    refuse(graph, "tf2.Add node 'sum' adds two features")


@pytest.mark.parametrize(("frac_bits", "zero_point"), [(61, 0), (-61, 0), (0, 128), (0, 1)])
def test_a_feature_refuses_other_scales_and_zero_points(frac_bits: int, zero_point: int):
    with pytest.raises(ValueError, match=r"must be (-60\.\.60|0 or -128), not"):
        Feature(frac_bits, zero_point)


def test_a_plain_type_refuses_other_element_types():
    with pytest.raises(ValueError, match="not 'float8'"):
        Plain("float8")
