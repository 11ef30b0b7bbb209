import numpy as np
import pytest

from float_graphs import FloatNet, assert_same_function, ops
from tf2.execution import Runner
from tf2.passes import expose_pixels

# x = pixel * gain + offset of the usual preprocessings
IMAGENET = (1 / (255 * np.array([0.229, 0.224, 0.225])), -np.array([2.118, 2.036, 1.804]))
MEAN_ONLY = (np.ones(3), -np.array([104.0, 117.0, 123.0]))
MINUS_ONE_TO_ONE = (np.full(3, 1 / 127.5), np.full(3, -1.0))

PREPROCESSINGS = pytest.mark.parametrize(
    ("gain", "offset"), [IMAGENET, MEAN_ONLY, MINUS_ONE_TO_ONE], ids=["std", "mean", "plusminus"]
)
NONE = (0, 0, 0, 0)


def images(rng, gain, offset, shape=(2, 3, 6, 7)):
    """Return random pixels and what the model reads of them."""
    pixels = rng.integers(0, 256, shape)
    x = pixels * gain.reshape(1, 3, 1, 1) + offset.reshape(1, 3, 1, 1)
    return pixels, {"x": x.astype(np.float32)}


@PREPROCESSINGS
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pads", [NONE, (1, 1, 1, 1), (0, 2, 1, 1)])
def test_computes_the_same_and_the_convolution_reads_pixels(pads, bias, gain, offset, rng):
    net = FloatNet(rng, x=(1, 3, 6, 7))
    net.conv("x", 4, (3, 3), bias=bias, pads=pads, strides=(2, 1))
    before = net.graph()
    after = expose_pixels(before, gain, offset)
    pixels, x = images(rng, gain, offset)
    # Sums of pixels times weights cancel: 255 * 27 products against results of a few units.
    assert_same_function(before, after, x, tolerance=1e-4)

    read = Runner(after, outputs=["x:pixels"], threads=1)(x)["x:pixels"]
    top, left, bottom, right = pads
    inside = read[:, :, top : read.shape[2] - bottom, left : read.shape[3] - right]
    # x is float32: up to 3 units of 2.4e-7 become 3 * 2.4e-7 / gain, and rounding makes them 0.
    np.testing.assert_allclose(inside, pixels, rtol=0, atol=1e-3)
    corner = read[:, :, 0, -1]  # padding, wherever there is any at the top or at the right
    expected = pixels[:, :, 0, -1] if pads == NONE else np.tile(-offset / gain, (2, 1))
    np.testing.assert_allclose(corner, expected, rtol=0, atol=1e-3)


def test_images_whose_channels_come_last_are_understood(rng):
    gain, offset = IMAGENET
    net = FloatNet(rng, x=(1, 6, 7, 3))
    net.conv(net.add("Transpose", "x", perm=(0, 3, 1, 2)), 4, (3, 3), pads=(1, 1, 1, 1))
    before = net.graph()
    after = expose_pixels(before, gain, offset)
    assert ops(after) == ["Transpose", "Pad", "Mul", "Add", "Conv"]
    _, x = images(rng, gain, offset)
    x = {"x": np.ascontiguousarray(x["x"].transpose(0, 2, 3, 1))}
    assert_same_function(before, after, x, tolerance=1e-4)


def test_only_what_is_needed_is_added(rng):
    net = FloatNet(rng, x=(1, 3, 6, 7))
    net.conv("x", 4, (3, 3))
    assert ops(expose_pixels(net.graph(), *IMAGENET)) == ["Mul", "Add", "Conv"]
    assert ops(expose_pixels(net.graph(), *MEAN_ONLY)) == ["Add", "Conv"]


def left_alone(net: FloatNet, *outputs: str) -> bool:
    graph = net.graph(*outputs, batch_is_free=False)
    return expose_pixels(graph, *IMAGENET) is graph


def test_leaves_networks_of_another_beginning(rng):
    two = FloatNet(rng, x=(1, 3, 6, 7), y=(1, 3, 6, 7))
    assert left_alone(two, two.conv("x", 3, (1, 1)), two.conv("y", 3, (1, 1)))

    shared = FloatNet(rng, x=(1, 3, 6, 7))
    assert left_alone(shared, shared.conv("x", 3, (1, 1)), shared.add("Relu", "x"))

    grouped = FloatNet(rng, x=(1, 3, 6, 7))
    assert left_alone(grouped, grouped.conv("x", 3, (1, 1), group=3))

    grey = FloatNet(rng, x=(1, 1, 6, 7))
    assert left_alone(grey, grey.conv("x", 3, (1, 1)))

    other = FloatNet(rng, x=(1, 3, 6, 7))
    assert left_alone(other, other.conv(other.add("Relu", "x"), 3, (1, 1)))

    turned = FloatNet(rng, x=(1, 6, 7, 3))
    transposed = turned.add("Transpose", "x", perm=(0, 3, 2, 1))
    assert left_alone(turned, turned.conv(transposed, 3, (1, 1)))

    run_time = FloatNet(rng, x=(1, 3, 6, 7))
    weight = run_time.add("Tanh", run_time.constant(run_time.weights(2, 3, 1, 1)))
    assert left_alone(run_time, run_time.add("Conv", "x", weight))

    sequence = FloatNet(rng, x=(1, 3, 6))
    assert left_alone(sequence, sequence.conv("x", 3, (1,)))
