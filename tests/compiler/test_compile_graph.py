"""Whole networks: what a compiled network computes on the functional overlay, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.random_graphs import random_graph
from tf2.arch import OverlayConfig, named_config
from tf2.compiler import CompiledRunner, compile_graph
from tf2.errors import DoesNotFitError
from tf2.execution import interpret
from tf2.ir import Feature, Graph, Node, Plain, TensorType, verify
from tf2.isa import Layer, Load, Store
from tf2.isa.verify import verify as verify_program
from tf2.sim.functional import FunctionalDevice

CONFIGS = {
    "test-small": named_config("test-small"),
    "test-mac": named_config("test-mac"),
    "five pixels": OverlayConfig(
        outputs=2, pixels=5, inputs=4, feature_rows=512, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=8,
    ),
    "one pixel": OverlayConfig(
        outputs=4, pixels=1, inputs=4, feature_rows=4096, filter_words=512, post_pixels=1,
        pool_groups=64, ddr_bytes=8,
    ),
    "one output": OverlayConfig(
        outputs=1, pixels=7, inputs=8, lane="mac", feature_rows=256, filter_words=256,
        post_pixels=7, pool_groups=16, ddr_bytes=4,
    ),
    "short filters": OverlayConfig(
        outputs=2, pixels=3, inputs=4, feature_rows=2048, filter_words=16, post_pixels=1,
        pool_groups=32, ddr_bytes=4,
    ),
    "little memory": OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=160, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=16,
    ),
}  # fmt: skip


def run(graph: Graph, config: OverlayConfig, feeds, watch=()) -> dict[str, np.ndarray]:
    """Return the outputs of the compiled graph, its programs verified."""
    compiled = compile_graph(graph, config, watch=watch)
    for segment in compiled.arrays:
        verify_program(segment.program)
    device = FunctionalDevice(config)
    runner = CompiledRunner(compiled, lambda segment, arena: device.run(segment.program, arena))
    return runner(feeds, watch)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**9), rank=st.integers(1, 3), steps=st.integers(1, 8))
def test_random_networks_give_the_bytes_of_the_golden_interpreter(name, seed, rank, steps):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, rank=rank, steps=steps)
    feeds = {"x": rng.integers(-128, 128, graph.shape("x")).astype(np.int8)}
    watch = [v for node in graph.nodes for v in node.outputs if rng.random() < 0.2]
    try:
        wanted = interpret(graph, feeds, [*graph.outputs, *watch])
    except OverflowError:  # int32 is what the arithmetic is defined for
        return
    found = run(graph, CONFIGS[name], feeds, watch)
    assert set(graph.outputs) <= set(found)
    for value, array in found.items():
        np.testing.assert_array_equal(array, wanted[value], err_msg=value)


def conv_graph(shapes, nodes, *, weights) -> Graph:
    types = {name: TensorType(Feature(4, -128), shape) for name, shape in shapes.items()}
    types |= {name: TensorType(Plain(str(a.dtype)), a.shape) for name, a in weights.items()}
    read = {name for node in nodes for name in node.inputs}
    outputs = tuple(n.output for n in nodes if n.output not in read)
    return verify(
        Graph(name="net", inputs=("x",), outputs=outputs, nodes=tuple(nodes), types=types,
              constants=weights)
    )  # fmt: skip


def conv(name, source, target, weights, rng, *, outs, channels, kernel=1, stride=1, pad=0) -> Node:
    values = {
        "w": rng.choice(np.array([-4, -1, 0, 1, 2, 16], np.int8), (outs, channels, kernel, kernel)),
        "b": rng.integers(-900, 900, outs).astype(np.int32),
        "m": rng.integers(1, 256, outs).astype(np.int32),
        "s": rng.integers(10, 16, outs).astype(np.int32),
    }
    weights |= {f"{name}.{key}": array for key, array in values.items()}
    return Node(
        name=name, op="Conv", domain="tf2", inputs=(source, *(f"{name}.{k}" for k in values)),
        outputs=(target,), attrs={"strides": (stride, stride), "pads": (pad,) * 4},
    )  # fmt: skip


@pytest.fixture
def fire(rng):
    """Two branches joined and pooled, behind a strided first layer."""
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("first", "x", "a", weights, rng, outs=8, channels=3, kernel=3, stride=2),
        conv("left", "a", "l", weights, rng, outs=8, channels=8),
        conv("right", "a", "r", weights, rng, outs=8, channels=8, kernel=3, pad=1),
        Node(name="join", op="Concat", inputs=("l", "r"), outputs=("j",), attrs={"axis": 1}),
        Node(name="pool", op="MaxPool", inputs=("j",), outputs=("p",),
             attrs={"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1}),
        conv("last", "p", "y", weights, rng, outs=4, channels=16),
    ]  # fmt: skip
    shapes = {
        "x": (1, 3, 25, 25), "a": (1, 8, 12, 12), "l": (1, 8, 12, 12), "r": (1, 8, 12, 12),
        "j": (1, 16, 12, 12), "p": (1, 16, 6, 6), "y": (1, 4, 6, 6),
    }  # fmt: skip
    return conv_graph(shapes, nodes, weights=weights)


def test_every_node_is_accounted_for_and_pools_move_into_both_branches(fire):
    compiled = compile_graph(fire, named_config("test-small"))
    (segment,) = compiled.segments
    assert [layer.name for layer in segment.estimates] == ["first", "left", "right", "last"]
    where = {report.node: (report.where, report.into) for report in compiled.nodes}
    assert where["left"] == ("array", "left")
    assert where["join"] == ("view", "")
    assert where["pool"][0] == "fused"


def test_maps_that_do_not_fit_go_through_ddr_and_give_the_same_bytes(fire, rng):
    feeds = {"x": rng.integers(-128, 128, (1, 3, 25, 25)).astype(np.int8)}
    wanted = interpret(fire, feeds)["y"]
    roomy = named_config("test-small")
    assert not compile_graph(fire, roomy).arrays[0].spilled
    tight = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=60, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=16,
    )  # fmt: skip
    assert compile_graph(fire, tight).arrays[0].spilled
    for config in (roomy, tight):
        np.testing.assert_array_equal(run(fire, config, feeds)["y"], wanted)


def test_an_input_grows_on_chip_and_results_leave_group_by_group_beside_their_layer(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("first", "x", "a", weights, rng, outs=8, channels=3, kernel=3),
        Node(name="pool", op="MaxPool", inputs=("a",), outputs=("p",),
             attrs={"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1}),
        conv("mid", "p", "m", weights, rng, outs=8, channels=8, kernel=3, stride=2),
        conv("last", "m", "y", weights, rng, outs=640, channels=8, kernel=7),
    ]  # fmt: skip
    shapes = {
        "x": (1, 3, 32, 32), "a": (1, 8, 30, 30), "p": (1, 8, 15, 15), "m": (1, 8, 7, 7),
        "y": (1, 640, 1, 1),
    }  # fmt: skip
    graph = conv_graph(shapes, nodes, weights=weights)
    program = compile_graph(graph, named_config("test-small")).arrays[0].program
    layers = [i for i in program.instructions if isinstance(i, Layer)]
    stripes = [layer for layer in layers if layer.name == "first"]
    parts = [layer for layer in layers if layer.name == "last"]
    assert len(program.inputs) == 1
    assert len(stripes) > 2
    assert [layer.wait_loads for layer in stripes] == sorted({s.wait_loads for s in stripes})
    assert len(parts) > 1
    assert sum(layer.out_groups for layer in parts) == 160
    stores = [i for i in program.instructions if isinstance(i, Store)]
    behind = range(len(layers) - len(parts) + 1, len(layers) + 1)
    assert [store.wait_layers for store in stores] == [*behind]
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    for name in ("test-small", "test-mac"):
        found = run(graph, named_config(name), feeds)
        np.testing.assert_array_equal(found["y"], interpret(graph, feeds)["y"])


def test_what_fits_in_no_way_names_layer_memory_and_what_would_do(fire):
    tiny = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=16, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=16,
    )  # fmt: skip
    with pytest.raises(
        DoesNotFitError, match=r"layer '(first|right)' needs .* Feature Buffer.*feature_rows >="
    ):
        compile_graph(fire, tiny)


def test_batches_run_sample_by_sample(fire, rng):
    feeds = {"x": rng.integers(-128, 128, (3, 3, 25, 25)).astype(np.int8)}
    np.testing.assert_array_equal(
        run(fire, named_config("test-mac"), feeds)["y"], interpret(fire, feeds)["y"]
    )


def test_watched_values_come_out_as_well_unless_fused(fire, rng):
    feeds = {"x": rng.integers(-128, 128, (1, 3, 25, 25)).astype(np.int8)}
    found = run(fire, named_config("test-small"), feeds, ["a", "l", "p"])
    wanted = interpret(fire, feeds, ["a", "p"])
    assert set(found) == {"a", "p", "y"}  # the left branch pools at once
    for value, array in wanted.items():
        np.testing.assert_array_equal(found[value], array)


def test_a_map_read_at_both_strides_is_copied_for_the_strided_readers(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("make", "x", "m", weights, rng, outs=64, channels=16),
        conv("dense", "m", "d", weights, rng, outs=64, channels=64),
        conv("strided", "m", "s", weights, rng, outs=256, channels=64, stride=2),
    ]
    shapes = {
        "x": (1, 16, 14, 14), "m": (1, 64, 14, 14), "d": (1, 64, 14, 14), "s": (1, 256, 7, 7),
    }  # fmt: skip
    graph = conv_graph(shapes, nodes, weights=weights)
    config = named_config("original-3840")
    layers = compile_graph(graph, config).arrays[0].estimates
    assert [layer.name for layer in layers] == ["make", "dense", "m/1x2x2", "strided"]
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    for value, array in run(graph, config, feeds).items():
        np.testing.assert_array_equal(array, interpret(graph, feeds)[value])


def test_a_layer_of_many_channels_runs_on_the_array(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [conv("full", "x", "y", weights, rng, outs=4, channels=9216)]
    graph = conv_graph({"x": (1, 9216, 1, 1), "y": (1, 4, 1, 1)}, nodes, weights=weights)
    config = named_config("test-small")
    assert [node.where for node in compile_graph(graph, config).nodes] == ["array"]
    feeds = {"x": rng.integers(-128, 128, (1, 9216, 1, 1)).astype(np.int8)}
    np.testing.assert_array_equal(run(graph, config, feeds)["y"], interpret(graph, feeds)["y"])


def test_a_run_takes_at_least_its_layers_and_its_layers_at_least_their_sums(fire):
    (segment,) = compile_graph(fire, named_config("test-small")).arrays
    assert segment.cycles >= sum(layer.cycles for layer in segment.estimates)
    for layer in segment.estimates:
        assert layer.cycles * segment.program.config.lanes >= layer.macs


def test_a_join_in_ddr_is_written_row_by_row_by_each_of_its_parts(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("left", "x", "l", weights, rng, outs=16, channels=8),
        conv("right", "x", "r", weights, rng, outs=8, channels=8, kernel=3, pad=1),
        Node(name="join", op="Concat", inputs=("l", "r"), outputs=("j",), attrs={"axis": 1}),
        conv("last", "j", "y", weights, rng, outs=4, channels=24, kernel=3, pad=1),
    ]
    shapes = {name: (1, c, 11, 10) for name, c in zip("xlrjy", (8, 16, 8, 24, 4), strict=True)}
    graph = conv_graph(shapes, nodes, weights=weights)
    config = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=96, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=16,
    )  # fmt: skip
    assert compile_graph(graph, config).arrays[0].spilled == ("j",)
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    np.testing.assert_array_equal(run(graph, config, feeds)["y"], interpret(graph, feeds)["y"])


@pytest.mark.parametrize(("kernel", "rows"), [(1, 280), (3, 400)])
def test_a_map_between_layers_that_take_turns_never_leaves_the_chip(rng, kernel, rows):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("first", "x", "s", weights, rng, outs=8, channels=8),
        conv("left", "s", "l", weights, rng, outs=16, channels=8),
        conv("right", "s", "r", weights, rng, outs=16, channels=8, kernel=3, pad=1),
        Node(name="join", op="Concat", inputs=("l", "r"), outputs=("j",), attrs={"axis": 1}),
        conv("last", "j", "t", weights, rng, outs=8, channels=32, kernel=kernel, pad=kernel // 2),
        conv("end", "t", "y", weights, rng, outs=8, channels=8, kernel=3),
    ]
    sides = {"x": 17, "s": 17, "l": 17, "r": 17, "j": 17, "t": 17, "y": 15}
    channels = {"l": 16, "r": 16, "j": 32}
    shapes = {name: (1, channels.get(name, 8), side, side) for name, side in sides.items()}
    graph = conv_graph(shapes, nodes, weights=weights)
    config = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=rows, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=4,
    )  # fmt: skip
    (segment,) = compile_graph(graph, config).arrays
    assert set(segment.spilled) <= {"y"}, "which may leave in stripes"
    order = [i.name for i in segment.program.instructions if isinstance(i, Layer)]
    turns = order[order.index("left") : order.index("end")]
    assert turns == ["left", "right", "last"] * (len(turns) // 3)
    assert len(turns) > 3
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    np.testing.assert_array_equal(run(graph, config, feeds)["y"], interpret(graph, feeds)["y"])


def test_an_input_of_several_layers_grows_under_the_first_of_them(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("one", "x", "a", weights, rng, outs=16, channels=32),
        conv("three", "x", "b", weights, rng, outs=8, channels=32, kernel=3, pad=1),
        Node(name="join", op="Concat", inputs=("a", "b"), outputs=("y",), attrs={"axis": 1}),
    ]
    shapes = {"x": (1, 32, 24, 24), "a": (1, 16, 24, 24), "b": (1, 8, 24, 24), "y": (1, 24, 24, 24)}
    graph = conv_graph(shapes, nodes, weights=weights)
    config = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=2048, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=4,
    )  # fmt: skip
    instructions = compile_graph(graph, config).arrays[0].program.instructions
    kinds = [type(i) for i in instructions]
    first = kinds.index(Layer)
    assert Load in kinds[first:]  # a layer begins before all of its input is asked for
    whole = 4 * 8 * 24
    loads = [i for i in instructions if isinstance(i, Load)]
    assert sum(load.rows for load in loads) == whole  # nothing is loaded twice
    feeds = {"x": rng.integers(-128, 128, (1, 32, 24, 24)).astype(np.int8)}
    np.testing.assert_array_equal(run(graph, config, feeds)["y"], interpret(graph, feeds)["y"])


@pytest.mark.parametrize("columns", [24, 23])
def test_rows_of_a_result_leave_while_its_layer_still_runs(rng, columns):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("one", "x", "a", weights, rng, outs=8, channels=32, kernel=3, pad=1),
        Node(name="pool", op="MaxPool", inputs=("a",), outputs=("y",),
             attrs={"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1}),
    ]  # fmt: skip
    size = (1, 32, 48, columns)
    out = (1, 8, 24, columns // 2)
    shapes = {"x": size, "a": (1, 8, *size[2:]), "y": out}
    graph = conv_graph(shapes, nodes, weights=weights)
    config = OverlayConfig(
        outputs=4, pixels=5, inputs=8, feature_rows=4096, filter_words=128, post_pixels=2,
        pool_groups=32, ddr_bytes=4,
    )  # fmt: skip
    instructions = compile_graph(graph, config).arrays[0].program.instructions
    layers = [n for n, i in enumerate(instructions) if isinstance(i, Layer)]
    stores = [n for n, i in enumerate(instructions) if isinstance(i, Store)]
    assert stores[0] < layers[-1]
    rows = [(i.base_row, i.rows) for i in instructions if isinstance(i, Store)]
    stored = [row for base, count in rows for row in range(base, base + count)]
    assert len(stored) == len(set(stored)) == -(-24 * out[3] // 5)  # each row once
    feeds = {"x": rng.integers(-128, 128, size).astype(np.int8)}
    np.testing.assert_array_equal(run(graph, config, feeds)["y"], interpret(graph, feeds)["y"])


def test_a_map_of_one_slice_is_read_by_rows_for_a_result_of_several_slices(rng):
    weights = {
        "w": rng.choice(np.array([-4, -1, 0, 1, 2, 16], np.int8), (9, 2, 2, 2, 1)),
        "b": rng.integers(-900, 900, 9).astype(np.int32),
        "m": rng.integers(1, 256, 9).astype(np.int32),
        "s": rng.integers(6, 12, 9).astype(np.int32),
    }
    node = Node(
        name="volume", op="Conv", domain="tf2", inputs=("x", *weights), outputs=("y",),
        attrs={"group": 9, "strides": (1, 3, 2), "dilations": (1, 2, 1),
               "pads": (1, 1, 0, 1, 0, 0)},
    )  # fmt: skip
    shapes = {"x": (1, 18, 1, 6, 3), "y": (1, 9, 2, 2, 2)}
    graph = conv_graph(shapes, [node], weights=weights)
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    found = run(graph, CONFIGS["one pixel"], feeds)
    np.testing.assert_array_equal(found["y"], interpret(graph, feeds)["y"])


def test_what_is_added_behind_a_stride_of_all_banks_is_a_layer_of_its_own(rng):
    weights: dict[str, np.ndarray] = {}
    nodes = [
        conv("shrink", "x", "z", weights, rng, outs=8, channels=8, stride=3),
        conv("far", "x", "f", weights, rng, outs=8, channels=8, stride=3),
        conv("other", "z", "o", weights, rng, outs=8, channels=8),
        Node(name="sum", op="Add", domain="tf2", inputs=("f", "z"), outputs=("y",)),
    ]
    shapes = {"x": (1, 8, 11, 11), **dict.fromkeys("zfoy", (1, 8, 4, 4))}
    graph = conv_graph(shapes, nodes, weights=weights)
    feeds = {"x": rng.integers(-128, 128, shapes["x"]).astype(np.int8)}
    found = run(graph, named_config("test-small"), feeds)  # three banks
    np.testing.assert_array_equal(found["y"], interpret(graph, feeds)["y"])


def test_a_first_layer_in_pieces_does_not_run_while_its_input_comes():
    config = OverlayConfig(
        outputs=2, pixels=7, inputs=8, feature_rows=512, filter_words=64, post_pixels=3,
        pool_groups=16, ddr_bytes=8,
    )  # fmt: skip
    rng = np.random.default_rng(10749)  # where stripes of one row were taken for no pieces
    graph = random_graph(rng, rank=int(rng.integers(1, 4)), steps=int(rng.integers(1, 9)))
    feeds = {"x": rng.integers(-128, 128, graph.shape("x")).astype(np.int8)}
    found, wanted = run(graph, config, feeds), interpret(graph, feeds)
    for value in graph.outputs:
        np.testing.assert_array_equal(found[value], wanted[value])
