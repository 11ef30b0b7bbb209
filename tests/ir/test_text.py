"""Graphs as text; `UPDATE_GOLDENS=1 pytest tests/ir/test_text.py` rewrites the golden."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from integer_graphs import plain_node, residual_block, with_constant, with_node

from tf2.ir import to_text

GOLDENS = Path(__file__).parents[1] / "goldens"


def assert_golden(name: str, text: str) -> None:
    path = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_an_integer_graph_as_text():
    assert_golden("ir_residual_block.txt", to_text(residual_block()))


def test_equal_graphs_give_equal_text():
    assert to_text(residual_block()) == to_text(residual_block())


def test_large_constants_are_shown_by_type_only():
    graph = residual_block()
    bigger = with_constant(graph, w=np.ones((2, 9, 1, 1), np.int8))
    assert "const int8[2,9,1,1]" in to_text(bigger)
    floats = with_constant(graph, w=np.ones(2, np.float32))
    assert "const float32[2]" in to_text(floats)


def test_a_fixed_batch_is_said_in_the_first_line():
    assert to_text(replace(residual_block(), batch_is_free=False)).startswith(
        "graph block (fixed batch)\n"
    )


def test_an_absent_operand_is_a_dash_and_a_tensor_attribute_its_type():
    value = np.zeros((2, 3), np.float32)
    graph = with_node(
        residual_block(),
        "flat",
        lambda _: plain_node("flat", "Flatten", ["a", ""], "f", value=value, scale=0.5),
    )
    assert "= Flatten(%a, -) {scale=0.5, value=tensor float32[2, 3]}" in to_text(graph)
