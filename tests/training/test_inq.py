"""Frozen weights never move, and the packed network is the trained one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import CLASSES, batches, samples, small_network

from tf2.compression import Compressed
from tf2.errors import TrainingError
from tf2.execution import Runner, interpret
from tf2.model_file.manifest import CompressionSettings
from tf2.training.inq import Inq
from tf2.training.module import GraphModule
from tf2.training.packing import packed, trained_graph
from tf2.training.start import Start, start_of


def made(rng, **options) -> tuple[Start, GraphModule]:
    settings = CompressionSettings(rows=500, keep=options.pop("keep", ()))
    start = start_of(small_network(rng), batches(rng), settings, **options)
    features = start.features()
    return start, GraphModule(start.graph, features=features)


def train(module: GraphModule, inq: Inq, rng, *, steps: int = 4, lr: float = 0.02) -> None:
    optimizer = torch.optim.SGD(inq.groups(module, weight_decay=1e-2), lr=lr, momentum=0.9)
    inq.attach(optimizer)
    x = torch.from_numpy(samples(rng, 16))
    y = torch.from_numpy(rng.integers(0, CLASSES, 16))
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()


OPTIONS = [
    {"compensated": True},
    {"compensated": False, "window": "gain"},
    {"compensated": False, "window": "layer"},
    {"compensated": False, "window": "channel", "bits": 3},
    {"compensated": False, "window": "gain", "bits": 2},
]


@pytest.mark.parametrize("order", ["magnitude", "random"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("train_gains", [False, True])
def test_frozen_codes_never_move_and_the_others_do(options, order, train_gains, rng):
    start, module = made(rng, **options)
    bits = options.get("bits", 4)
    inq = Inq(module, start.layers, bits=bits, order=order, train_gains=train_gains)
    for share in (0.5, 0.75, 1.0):
        inq.freeze(share)
        before = [(n.frozen.clone(), n.weight.detach().clone(), n.codes().q) for n in inq.layers]
        train(module, inq, rng)
        for layer, (frozen, weight, q) in zip(inq.layers, before, strict=True):
            assert abs(layer.share - share) <= 0.5 / weight.numel() + 1e-6
            assert torch.equal(layer.frozen, frozen)
            flat = frozen.reshape(len(frozen), -1).numpy()
            assert np.array_equal(layer.codes().q[flat], q[flat])
            if not train_gains:
                assert torch.equal(layer.weight[frozen], weight[frozen])
            if share < 1:
                assert not torch.equal(layer.weight[~frozen], weight[~frozen])
            magnitudes = set(np.abs(layer.codes().q[flat]).tolist())
            assert (
                magnitudes <= {4: {0, 1, 2, 4, 8, 16, 32, 64}, 3: {0, 16, 32, 64}, 2: {0, 64}}[bits]
            )


def test_the_largest_weights_are_frozen_first(rng):
    start, module = made(rng, compensated=False)
    inq = Inq(module, start.layers)
    sizes = [layer.weight.detach().abs() for layer in inq.layers]
    inq.freeze(0.5)
    for layer, size in zip(inq.layers, sizes, strict=True):
        assert size[layer.frozen].min() >= size[~layer.frozen].max()


def test_freezing_the_error_compensated_start_changes_nothing(rng):
    start, module = made(rng)
    before = {name: data.copy() for name, data in module.trained_constants().items()}
    Inq(module, start.layers).freeze(0.5)
    for name, data in module.trained_constants().items():
        if "slope" not in name:  # they are rounded to multipliers
            np.testing.assert_allclose(data, before[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize("mode", ["inq", "qat"])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_packed_network_is_the_trained_one_to_the_bit(options, mode, rng):
    start, module = made(rng, **options)
    inq = Inq(module, start.layers, bits=options.get("bits", 4), mode=mode)
    for share in (0.5, 1.0):
        inq.freeze(share)
        train(module, inq, rng)
    compressed = packed(start, module, inq, batches(rng))
    _assert_same(start, module, inq, compressed, rng)


def test_layers_kept_at_8_bits_are_trained_and_packed_as_such(rng):
    start, module = made(rng, keep=("Conv0", "Gemm17"))
    inq = Inq(module, start.layers)
    before = module.trained_constants()["Conv0.own_weight"]
    for share in (0.5, 1.0):
        inq.freeze(share)
        train(module, inq, rng, lr=0.1)
    assert not np.array_equal(before, module.trained_constants()["Conv0.own_weight"])
    compressed = packed(start, module, inq, batches(rng))
    kinds = {row.name: row.weights for row in compressed.layers}
    assert (kinds["Conv0"], kinds["Gemm17"], kinds["Conv2"]) == ("int8", "int8", "pot4")
    _assert_same(start, module, inq, compressed, rng)


def _assert_same(start: Start, module: GraphModule, inq: Inq, compressed: Compressed, rng) -> None:
    codes = inq.codes()
    trained = trained_graph(start, module, codes)
    for layer in start.layers:
        node = compressed.graph.node(layer.node)
        weight = trained.constants[trained.node(layer.node).inputs[1]]
        q = compressed.graph.constants[node.inputs[1]]
        assert np.array_equal(q.reshape(len(q), -1), codes[layer.node].q)
        alpha = codes[layer.node].alpha.reshape(-1, *[1] * (q.ndim - 1))
        assert np.array_equal((q * alpha).astype(np.float32), weight)
        assert torch.equal(torch.from_numpy(weight), inq_weight(inq, layer.node))
    x = samples(rng, 64)
    with torch.no_grad():
        simulated = module.eval()(torch.from_numpy(x)).numpy()
    (exact,) = interpret(compressed.graph, {"x": x}).values()
    (fast,) = Runner(compressed.graph)({"x": x}).values()
    assert np.array_equal(exact, fast)
    # Products, biases and most sums are exact in float32: hardly ever is a byte one off.
    assert np.mean(np.isclose(simulated, exact, rtol=1e-5, atol=1e-5)) > 0.98
    np.testing.assert_array_equal(simulated.argmax(1), exact.argmax(1))


def inq_weight(inq: Inq, node: str) -> torch.Tensor:
    return next(layer.weight.detach() for layer in inq.layers if layer.name == node)


def test_five_bits_are_trained_but_run_on_no_array(rng):
    start, module = made(rng, compensated=False, bits=5)
    inq = Inq(module, start.layers, bits=5)
    inq.freeze(1.0)
    with pytest.raises(TrainingError, match="more than 4 bits"):
        packed(start, module, inq, batches(rng))


def test_a_state_brings_everything_back(rng):
    start, module = made(rng, keep=("Conv0",))
    inq = Inq(module, start.layers)
    inq.freeze(0.5)
    train(module, inq, rng)
    kept = {name: tensor.clone() for name, tensor in inq.state().items()}
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    other = GraphModule(start.graph, features=start.features())
    again = Inq(other, start.layers)
    other.load_state_dict(weights)
    again.load(kept)
    for first, second in zip(inq.layers, again.layers, strict=True):
        assert np.array_equal(first.codes().q, second.codes().q)
        assert torch.equal(first.alpha, second.alpha)
    again.freeze(1.0)
    inq.freeze(1.0)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_wrong_settings_are_refused(rng):
    start, module = made(rng)
    with pytest.raises(TrainingError, match="2, 3, 4 or 5 bits, not 6"):
        Inq(module, start.layers, bits=6)
    with pytest.raises(TrainingError, match="error-compensated weights have 4 bits"):
        made(rng, bits=3)
