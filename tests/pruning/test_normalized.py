"""Normalization that is put in changes nothing, can be trained, and folds away again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prunable import NETWORKS, residual

from tf2.passes import canonicalize
from tf2.pruning.normalized import LENGTH, with_batch_norm
from tf2.training.module import GraphModule


def samples(graph, rng, count: int = 16) -> torch.Tensor:
    (name,) = graph.inputs
    return torch.from_numpy(rng.standard_normal((count, *graph.shape(name)[1:]), np.float32))


def answers(graph, x: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return GraphModule(graph).eval()(x).numpy()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_normalized_network_computes_the_same_and_so_does_the_folded_one(network, rng):
    graph = NETWORKS[network](rng)
    x = samples(graph, rng)
    normal = with_batch_norm(graph, [x[:8], x[8:]])
    kinds = [n.kind for n in normal.nodes]
    assert kinds.count("BatchNormalization") == sum(n.kind == "Conv" for n in graph.nodes)
    folded = canonicalize(normal).graph
    assert not any(n.kind == "BatchNormalization" for n in folded.nodes)
    wanted = answers(graph, x)
    close = {"rtol": 1e-3, "atol": 1e-4 * float(np.abs(wanted).max())}
    np.testing.assert_allclose(answers(normal, x), wanted, **close)
    np.testing.assert_allclose(answers(folded, x), wanted, **close)


def test_statistics_are_those_of_the_samples_and_directions_have_one_length(rng):
    graph = residual(rng)
    x = samples(graph, rng)
    normal = with_batch_norm(graph, [x])
    for node in normal.nodes:
        if node.kind == "Conv":
            weight = normal.constants[node.inputs[1]]
            length = np.linalg.norm(weight.reshape(len(weight), -1), axis=1)
            np.testing.assert_allclose(length, LENGTH, rtol=1e-5)
    module = GraphModule(normal, batch_norm="train")
    with torch.no_grad():
        by_batch = module.train()(x).numpy()
    wanted = answers(graph, x)
    np.testing.assert_allclose(by_batch, wanted, rtol=0.02, atol=0.02 * np.abs(wanted).max())


def test_a_channel_that_is_always_zero_stays_finite(rng):
    graph = residual(rng)
    layer = next(n for n in graph.nodes if n.kind == "Conv")
    weight = graph.constants[layer.inputs[1]].copy()
    weight[0] = 0.0
    graph = graph.replaced(constants={layer.inputs[1]: weight})
    x = samples(graph, rng)
    normal = with_batch_norm(graph, [x])
    assert all(np.isfinite(data).all() for data in normal.constants.values())
    np.testing.assert_allclose(answers(normal, x), answers(graph, x), rtol=1e-3, atol=1e-3)


def test_layers_that_are_normalized_already_stay_as_they_are(rng):
    graph = residual(rng)
    once = with_batch_norm(graph, [samples(graph, rng)])
    twice = with_batch_norm(once, [])
    assert [n.name for n in twice.nodes] == [n.name for n in once.nodes]
