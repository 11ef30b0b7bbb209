"""Two levels value by value: figures checked by hand, and the first divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import EngineError
from tf2.evaluation import compare, matching_values
from tf2.ir import FLOAT32, Feature, Graph, Node, Plain, TensorType, verify

F = TensorType(FLOAT32, (1, 2))


def float_level(factor: float = 2.0, offset: float = 1.0) -> Graph:
    """y = x*factor, z = y + offset."""
    return Graph(
        name="float",
        inputs=("x",),
        outputs=("z",),
        nodes=(
            Node(name="mul", op="Mul", inputs=("x", "f"), outputs=("y",)),
            Node(name="add", op="Add", inputs=("y", "o"), outputs=("z",)),
        ),
        types={"x": F, "y": F, "z": F, "f": TensorType(FLOAT32, ()), "o": TensorType(FLOAT32, ())},
        constants={"f": np.float32(factor), "o": np.float32(offset)},
    )


def byte_level() -> Graph:
    """y:bytes = quantize(x) with Q = 0, y = its value, z = y + 1."""
    feature = TensorType(Feature(0, 0), (1, 2))
    scalar = TensorType(FLOAT32, ())
    vector = TensorType(Plain("float32"), (1,))
    return verify(
        Graph(
            name="bytes",
            inputs=("x",),
            outputs=("z",),
            nodes=(
                Node(
                    name="q",
                    op="Quantize",
                    domain="tf2",
                    inputs=("x", "gain", "shift"),
                    outputs=("y:bytes",),
                ),
                Node(name="d", op="Dequantize", domain="tf2", inputs=("y:bytes",), outputs=("y",)),
                Node(name="add", op="Add", inputs=("y", "o"), outputs=("z",)),
            ),
            types={
                "x": F, "y:bytes": feature, "y": F, "z": F, "o": scalar,
                "gain": vector, "shift": vector,
            },
            constants={
                "o": np.float32(1.0),
                "gain": np.array([1.0], np.float32),
                "shift": np.array([0.0], np.float32),
            },
        )
    )  # fmt: skip


def samples(*rows: list[float]) -> Samples:
    data = np.array(rows, np.float32)
    return Samples([f"s{i}" for i in range(len(rows))], lambda i: data[i])


def level(graph: Graph, engine: str = "float") -> Session:
    return Session(graph, engine=engine)


def test_equal_levels_are_exact():
    found = compare(level(float_level()), level(float_level()), samples([1, 2], [3, -4]))
    assert [v.sqnr_db for v in found.values] == [math.inf, math.inf]
    assert [v.cosine for v in found.values] == [pytest.approx(1.0)] * 2
    assert found.first_diverging is None
    assert found.samples == 2


def test_figures_over_all_samples():
    # y: 2x against 3x, x = (1, 2), (2, 0): signal 36, error 9; z as y + 1.
    found = compare(level(float_level(2)), level(float_level(3)), samples([1, 2], [2, 0]))
    y = found.values[0]
    assert (y.value, y.node, y.op, y.place) == ("y", "mul", "Mul", "float")
    assert y.sqnr_db == pytest.approx(10 * math.log10(36 / 9))
    assert y.cosine == pytest.approx(1.0)
    assert (y.largest_error, y.largest_value) == (2.0, 4.0)


def test_the_first_value_below_the_limit_is_named():
    reference, other = level(float_level(offset=1.0)), level(float_level(offset=-1.0))
    found = compare(reference, other, samples([1, 2]), limit_db=20.0)
    assert found.first_diverging is not None
    assert found.first_diverging.value == "z"


def test_bytes_are_compared_as_the_numbers_they_stand_for():
    assert matching_values(float_level(), byte_level()) == {"y": "y:bytes", "z": "z"}
    found = compare(level(float_level(1.0)), level(byte_level(), "int"), samples([3, -7]))
    assert [(v.value, v.place, v.sqnr_db) for v in found.values] == [
        ("y", "bytes", math.inf),
        ("z", "float", math.inf),
    ]


def test_a_zero_reference_has_no_cosine():
    found = compare(level(float_level(0.0)), level(float_level(1.0)), samples([1, 2]))
    assert found.values[0].sqnr_db == -math.inf
    assert math.isnan(found.values[0].cosine)


def test_levels_without_common_values_are_refused():
    graph = Graph(
        name="other",
        inputs=("x",),
        outputs=("w",),
        nodes=(Node(name="n", op="Neg", inputs=("x",), outputs=("w",)),),
        types={"x": F, "w": F},
        constants={},
    )
    with pytest.raises(EngineError, match="no value in common"):
        compare(level(float_level()), level(graph), samples([1, 2]))
