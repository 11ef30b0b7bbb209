"""Features in the loop are the bytes of the packed network, and gradients pass where they fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import batches, samples, small_network

from tf2.compression import compress, settled_of
from tf2.execution import interpret
from tf2.ir import Feature
from tf2.numerics import fixed_point
from tf2.quantization import bytes_name
from tf2.training.inq import Inq
from tf2.training.int8_features import PoolFactor, as_bytes
from tf2.training.module import GraphModule
from tf2.training.start import start_of


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("feature", [Feature(3, 0), Feature(5, -128), Feature(-2, 0)])
def test_values_are_those_of_the_golden_rounding_and_gradients_pass_as_through_relu(
    feature, in_place, rng
):
    wide = rng.uniform(1.5 * feature.min - 1, 1.5 * feature.max, 1000)
    ties = (np.arange(-300, 300) + 0.5) * feature.scale
    x = np.concatenate([wide, ties, [0.0]]).astype(np.float32)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    own = tensor * 1.0
    y = as_bytes(own, feature, in_place=in_place)
    stored = fixed_point.quantize(x, feature.frac_bits, feature.zero_point)
    wanted = fixed_point.dequantize(stored, feature.frac_bits, feature.zero_point)
    np.testing.assert_array_equal(y.detach().numpy(), wanted)
    np.testing.assert_array_equal(own.detach().numpy(), wanted if in_place else x)
    y.sum().backward()
    inside = (wanted > feature.min) & (wanted < feature.max) | (feature.zero_point == 0)
    np.testing.assert_array_equal(tensor.grad.numpy(), inside.astype(np.float32))


def test_window_sums_times_the_multiplier_are_exact():
    sums = torch.arange(0, 49 * 255, dtype=torch.float64)
    pool = PoolFactor(count=49, step=2.0**-4, factor=167 * 2.0**-15)
    found = pool.of_mean((sums / 49 * 2.0**-4).float())
    assert torch.equal(found.double(), sums * 167 * 2.0**-19)
    rough = pool.of_mean((sums / 49 * 2.0**-4).bfloat16())
    assert torch.allclose(rough.double(), sums * 167 * 2.0**-19, rtol=0.02)


def test_every_byte_of_the_packed_network_is_met_before_training(rng):
    graph, calibration = small_network(rng), batches(rng)
    start = start_of(graph, calibration, _settings())
    plan = start.features()
    x = samples(rng, 8)
    packed = compress(graph, calibration, _settings())
    for value in plan.writes:
        module = GraphModule(start.graph, outputs=["v17", value], features=plan).eval()
        Inq(module, start.layers)  # rounds slopes
        with torch.no_grad():
            found = module(torch.from_numpy(x))[1].numpy()
        feature = packed.graph.types[bytes_name(value)].dtype
        stored = interpret(packed.graph, {"x": x}, [bytes_name(value)])[bytes_name(value)]
        wanted = fixed_point.dequantize(stored, feature.frac_bits, feature.zero_point)
        # The start's biases are whole steps, its sums exact in float32 but for a few near ties.
        assert np.mean(found == wanted) > 0.995, value
        assert np.abs(found - wanted).max() <= 4 * feature.scale, value


def test_scales_and_codes_survive_the_way_through_an_integer_graph(rng):
    graph, calibration = small_network(rng), batches(rng)
    first = compress(graph, calibration, _settings())
    settled = settled_of(first.graph)
    again = compress(graph, calibration, _settings(), settled=settled)
    assert settled_of(again.graph).scales == settled.scales
    for name, codes in settled.layers.items():
        node = again.graph.node(name)
        q = again.graph.constants[node.inputs[1]]
        np.testing.assert_array_equal(q.reshape(len(q), -1), codes.q)
        for operand in (1, 3, 4):
            if len(node.inputs) > operand:
                source = first.graph.constants[first.graph.node(name).inputs[operand]]
                np.testing.assert_array_equal(again.graph.constants[node.inputs[operand]], source)


def _settings():
    from tf2.model_file.manifest import CompressionSettings

    return CompressionSettings(rows=500)
