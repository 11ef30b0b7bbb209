"""A network on photographs trains on the array's own pixels: the float view is the integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import SIZE, small_network
from test_inq import train

from tf2.execution import Runner
from tf2.ir import Feature
from tf2.model_file.manifest import CompressionSettings
from tf2.training.inq import Inq
from tf2.training.module import GraphModule
from tf2.training.packing import packed, trained_graph
from tf2.training.pixels import Pixels
from tf2.training.start import start_of

GAIN = np.array([1 / 58.4, 1 / 57.1, 1 / 57.4])
OFFSET = np.array([-2.12, -2.04, -1.80])


def photographs(rng, count: int) -> np.ndarray:
    pixels = rng.integers(0, 256, (count, 3, SIZE, SIZE)).astype(np.float32)
    return (pixels * GAIN.reshape(-1, 1, 1) + OFFSET.reshape(-1, 1, 1)).astype(np.float32)


def begun(rng, **options):
    calibration = [{"x": photographs(rng, 16)}]
    settings = CompressionSettings(rows=500, keep=options.pop("keep", ()))
    affine = (GAIN, OFFSET)
    return start_of(small_network(rng), calibration, settings, pixel_affine=affine, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"keep": ("Conv0",)}, {"compensated": False}, {"compensated": False, "window": "layer"}],
)
def test_every_output_of_the_float_view_is_that_of_the_integers(options, rng):
    start = begun(rng, **options)
    assert start.layers[0].pixels is not None
    module = GraphModule(start.graph, features=start.features())
    inq = Inq(module, start.layers)
    for share in (0.5, 1.0):
        inq.freeze(share)
        train(module, inq, rng)
    compressed = packed(start, module, inq, [{"x": photographs(rng, 4)}])
    x = photographs(rng, 300)
    (exact,) = Runner(compressed.graph)({"x": x}).values()
    with torch.no_grad():
        simulated = module.eval()(torch.from_numpy(x)).numpy()
    same = np.isclose(simulated, exact, rtol=1e-5, atol=1e-5)
    assert same.all(1).mean() >= 0.99  # a PReLU's slope is a ratio of multipliers: ties may break
    np.testing.assert_array_equal(simulated.argmax(1), exact.argmax(1))


def test_the_trained_graph_reads_what_the_model_reads(rng):
    start = begun(rng)
    module = GraphModule(start.graph, features=start.features())
    inq = Inq(module, start.layers)
    inq.freeze(1.0)
    graph = trained_graph(start, module, inq.codes())
    assert graph.nodes == start.float_graph.nodes
    x = photographs(rng, 8)
    float_view = GraphModule(start.graph).eval()
    float_view.load_state_dict(module.state_dict())
    with torch.no_grad():
        wanted = float_view(torch.from_numpy(x)).numpy()
    (found,) = Runner(graph)({"x": x}).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("feature", [Feature(0, -128), Feature(1, -128), Feature(-1, 0)])
def test_parameters_survive_the_way_to_pixels_and_back(feature, rng):
    pixels = Pixels.of(GAIN, OFFSET, feature)
    weight, bias = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
    there = pixels.from_model(weight, bias)
    assert 0.5 < np.abs(there[0] / weight).max() < 2  # the same learning rate fits
    for found, wanted in zip(pixels.to_model(*there), (weight, bias), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    p = rng.integers(0, 256, (3, 3, 3)).astype(float)
    x = p * GAIN.reshape(-1, 1, 1) + OFFSET.reshape(-1, 1, 1)
    t = np.ldexp(p - pixels.centre, -pixels.shift)
    sums = [(w * a).sum((1, 2, 3)) + b for w, a, b in ((weight, x, bias), (there[0], t, there[1]))]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-9, atol=1e-9)


def test_an_input_that_is_no_image_is_left_alone(rng):
    calibration = [{"x": photographs(rng, 16)}]
    start = start_of(small_network(rng), calibration, CompressionSettings(rows=500))
    assert all(layer.pixels is None for layer in start.layers)
    assert [n.name for n in start.graph.nodes] == [n.name for n in start.float_graph.nodes]
