"""ONNX Runtime against the golden model on random layers; the seed is the case."""

import numpy as np
import pytest

import random_layers
from agreement import assert_same_integers


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_convolutions_agree_bit_for_bit(axes: int, seed: int):
    check("Conv", axes, seed, layers=25)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_additions_agree_bit_for_bit(axes: int, seed: int):
    check("Add", axes, seed, layers=15)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_poolings_agree_bit_for_bit(op: str, axes: int, seed: int):
    check(op, axes, seed, layers=15)


def check(op: str, axes: int, seed: int, *, layers: int) -> None:
    rng = np.random.default_rng([seed, axes])
    for _ in range(layers):
        graph = random_layers.random_layer(rng, op, axes)
        assert_same_integers(graph, random_layers.feeds(rng, graph, batch=int(rng.integers(1, 4))))


@pytest.mark.parametrize("seed", range(60))
def test_small_networks_agree_bit_for_bit_in_every_layer(seed: int):
    rng = np.random.default_rng(seed)
    graph = random_layers.random_network(rng)
    assert_same_integers(graph, random_layers.feeds(rng, graph, batch=int(rng.integers(1, 4))))
