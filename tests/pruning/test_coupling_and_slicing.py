"""Channels that go together, and the smaller graph that computes what the masked one did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prunable import NETWORKS, Net, bottleneck, branches, residual, samples

from tf2.execution import Runner
from tf2.ir import Graph
from tf2.pruning.coupling import Coupling, coupling_of
from tf2.pruning.slicing import without_classes


def masked(coupling: Coupling, kept: np.ndarray) -> Graph:
    """The whole graph whose layers read zero weights for classes that are gone."""
    constants: dict[str, np.ndarray] = {}
    for layer in coupling.layers:
        if layer.depthwise:
            continue
        node = layer.node
        weight = coupling.graph.constants[node.inputs[1]]
        axis = 1 if node.op == "Conv" or node.attr("transB", 0) else 0
        shape = [1] * weight.ndim
        shape[axis] = -1
        constants[node.inputs[1]] = weight * kept[layer.columns].reshape(shape).astype(np.float32)
        if not kept[layer.reads].any():
            constants[node.inputs[2]] = np.zeros_like(coupling.graph.constants[node.inputs[2]])
    return coupling.graph.replaced(constants=constants)


def outputs(graph: Graph, x: np.ndarray) -> np.ndarray:
    return Runner(graph, threads=1)({"x": x})[graph.outputs[0]]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_smaller_graph_computes_what_the_masked_one_does(network, share, rng):
    coupling = coupling_of(NETWORKS[network](rng))
    x = samples(rng, 4)
    for _ in range(5):
        kept = coupling.pinned | (rng.random(coupling.count) > share)
        for classes in coupling.classes.values():  # at least one channel everywhere
            kept[classes[0]] |= not kept[classes].any()
        smaller = without_classes(coupling, kept)
        wanted = outputs(masked(coupling, kept), x)
        assert np.abs(wanted).max() > 1e-3
        np.testing.assert_allclose(outputs(smaller, x), wanted, rtol=1e-4, atol=1e-4)
        assert sum(c.size for c in smaller.constants.values()) < sum(
            c.size for c in coupling.graph.constants.values()
        )


def test_all_classes_give_the_same_graph(rng):
    coupling = coupling_of(branches(rng))
    same = without_classes(coupling, np.ones(coupling.count, bool))
    assert [n.name for n in same.nodes] == [n.name for n in coupling.graph.nodes]
    assert same.types == dict(coupling.graph.types)


def test_zero_padded_shortcuts_tie_the_narrow_stream_to_the_middle_of_the_wide_one(rng):
    coupling = coupling_of(residual(rng))
    first, last = coupling.layers[0], coupling.layers[-2]
    assert coupling.classes[last.node.output][4:12].tolist() == first.writes.tolist()
    assert len(set(coupling.classes[last.node.output].tolist())) == 16
    assert not coupling.pinned[first.writes].any()


def test_depthwise_layers_pass_classes_on_and_grouped_ones_join_their_groups(rng):
    deep = coupling_of(bottleneck(rng)).layers[2]
    assert deep.depthwise
    assert deep.reads.tolist() == deep.writes.tolist()
    grouped = next(n for n in coupling_of(branches(rng)).layers if n.groups == 4)
    assert len(set(grouped.reads.tolist())) == len(set(grouped.writes.tolist())) == 4


def test_inputs_outputs_and_what_no_rule_knows_are_pinned(rng):
    net = Net(rng)
    x = net.conv_relu("x", 3, 8)
    turned = net.add("Transpose", x, perm=[0, 2, 3, 1])
    flat = net.add("Flatten", turned)
    coupling = coupling_of(net.finished(net.linear(flat, 8 * 64, 5)))
    assert coupling.pinned[coupling.layers[0].reads].all()
    assert coupling.pinned[coupling.layers[0].writes].all()
    assert coupling.pinned[coupling.layers[-1].writes].all()


def test_a_branch_without_channels_goes_with_its_add(rng):
    coupling = coupling_of(residual(rng))
    inner = coupling.layers[1].writes  # of the first block
    kept = np.ones(coupling.count, bool)
    kept[inner] = False
    smaller = without_classes(coupling, kept)
    assert len(smaller.nodes) == len(coupling.graph.nodes) - 5  # 2 convs, 2 relus, 1 add
    x = samples(rng, 4)
    np.testing.assert_allclose(outputs(smaller, x), outputs(masked(coupling, kept), x), rtol=1e-4)


def test_shared_weights_are_sliced_for_each_layer(rng):
    net = Net(rng)
    x = net.conv_relu("x", 3, 8)
    weight, bias = net.normal(8, 8, 1, 1), net.normal(8)
    x = net.add("Relu", net.add("Conv", x, weight, bias))
    x = net.add("Relu", net.add("Conv", x, weight, bias))
    mean = net.add("Flatten", net.add("GlobalAveragePool", x))
    coupling = coupling_of(net.finished(net.linear(mean, 8, 5)))
    kept = np.ones(coupling.count, bool)
    kept[coupling.layers[1].reads[:3]] = False
    smaller = without_classes(replace(coupling), kept)
    shapes = [smaller.shape(n.inputs[1])[:2] for n in smaller.nodes if n.op == "Conv"]
    assert shapes == [(5, 3), (8, 5), (8, 8)]
