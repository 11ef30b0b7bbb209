"""Zeros of a pruned network stay zero through compression and through INQ, to the last code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prunable import CLASSES, branches, residual, samples

from tf2.compression import compress
from tf2.compression.exact import pruned
from tf2.execution import interpret
from tf2.ir import Graph
from tf2.ir.integer_ops import DOMAIN
from tf2.model_file import CompressionSettings
from tf2.training.inq import Inq
from tf2.training.module import GraphModule
from tf2.training.packing import packed
from tf2.training.start import start_of


def thinned(graph: Graph, rng) -> Graph:
    """Two thirds of the weights at zero."""
    constants = {
        name: np.where(rng.random(data.shape) < 0.67, 0, data).astype(data.dtype)
        for name, data in graph.constants.items()
        if data.ndim > 1 and data.dtype.kind == "f" and data.size > 100
    }
    return graph.replaced(constants=constants)


def check_zeros(float_graph: Graph, integers: Graph) -> None:
    layers = [n for n in integers.nodes if n.domain == DOMAIN and n.op == "Conv"]
    assert len(layers) > 5
    for layer in layers:
        before = float_graph.constants[float_graph.node(layer.name).inputs[1]]
        after = integers.constants[layer.inputs[1]].reshape(before.shape)
        if pruned(before) is not None:
            assert not after[before == 0].any()
        assert after[before != 0].any()


def feeds(rng) -> list[dict[str, np.ndarray]]:
    return [{"x": samples(rng, 8)} for _ in range(4)]


@pytest.mark.parametrize("method", ["nearest", "compensated"])
@pytest.mark.parametrize("network", [residual, branches])
def test_compression_keeps_them(method, network, rng):
    graph = thinned(network(rng), rng)
    settings = CompressionSettings(method=method, rows=500)
    check_zeros(graph, compress(graph, feeds(rng), settings).graph)


@pytest.mark.parametrize("mode", ["inq", "qat"])
@pytest.mark.parametrize("compensated", [True, False])
def test_inq_keeps_them_and_counts_its_shares_without_them(mode, compensated, rng):
    graph = thinned(residual(rng), rng)
    batches = feeds(rng)
    start = start_of(graph, batches, CompressionSettings(rows=500), compensated=compensated)
    module = GraphModule(start.graph, features=start.features())
    inq = Inq(module, start.layers, mode=mode)
    optimizer = torch.optim.SGD(inq.groups(module, weight_decay=0.0), lr=0.02, momentum=0.9)
    inq.attach(optimizer)
    y = torch.from_numpy(rng.integers(0, CLASSES, 8))
    for share in (0.5, 1.0):
        inq.freeze(share)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.from_numpy(batches[0]["x"])), y).backward()
        optimizer.step()
        for layer, given in zip(inq.layers, start.layers, strict=True):
            held = 0 if given.pruned is None else int(given.pruned.sum())
            free = layer.frozen.numel() - held
            wanted = share * free if mode == "inq" or share == 1.0 else 0
            assert abs(int(layer.frozen.sum()) - held - wanted) <= 1
    done = packed(start, module, inq, batches)
    check_zeros(graph, done.graph)
    assert np.isfinite(interpret(done.graph, batches[0])[done.graph.outputs[0]]).all()


def test_a_few_zeros_are_no_pruning():
    weight = np.ones((4, 25))
    weight[0, :9] = 0
    assert pruned(weight) is None
    weight[0, 9] = 0
    found = pruned(weight)
    assert found is not None
    assert found.sum() == 10
