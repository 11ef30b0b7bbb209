import numpy as np
import pytest

from float_graphs import FloatNet, Rng
from tf2.errors import CompressionError
from tf2.quantization import measure
from tf2.quantization.calibration import SAMPLE


def batches(rng: Rng, count: int, *shape: int) -> list[dict[str, np.ndarray]]:
    return [{"x": rng.normal(size=shape).astype(np.float32)} for _ in range(count)]


def test_ranges_are_those_of_all_batches(rng: Rng):
    net = FloatNet(rng, x=(1, 3, 5))
    double = net.add("Add", "x", "x")
    samples = batches(rng, 4, 2, 3, 5)
    everything = np.concatenate([batch["x"] for batch in samples])
    found = measure(net.graph(), samples, ["x", double])
    for name, factor in (("x", 1), (double, 2)):
        values = factor * everything
        assert (found[name].low, found[name].high) == (values.min(), values.max())
        np.testing.assert_array_equal(found[name].channel_max, np.abs(values).max(axis=(0, 2)))
        assert sorted(found[name].sample.tolist()) == sorted(values.reshape(-1).tolist())


def test_batches_may_have_different_sizes(rng: Rng):
    net = FloatNet(rng, x=(1, 3))
    net.add("Tanh", "x")
    samples = [*batches(rng, 1, 5, 3), *batches(rng, 1, 2, 3)]
    assert measure(net.graph(), samples, ["tanh0"])["tanh0"].sample.size == 21


@pytest.mark.parametrize(("count", "shape"), [(1, (8, 64, 33, 33)), (16, (2, 32, 32, 32))])
def test_a_large_tensor_is_sampled_evenly_from_every_channel_and_batch(count, shape, rng: Rng):
    """Each value says which batch and channel it is from."""
    net = FloatNet(rng, x=(1, *shape[1:]))
    net.add("Tanh", "x")
    channels = shape[1]
    source = np.arange(channels).reshape(1, -1, 1, 1)
    samples = [
        {"x": np.broadcast_to(i * channels + source, shape).astype(np.float32)}
        for i in range(count)
    ]
    found = measure(net.graph(), samples, ["x"])["x"].sample
    assert SAMPLE / 2 < found.size <= SAMPLE * 1.01
    seen = np.bincount(found.astype(int), minlength=count * channels)
    assert seen.min() > 0.9 * found.size / (count * channels)


def test_values_that_are_no_float32_are_left_out(rng: Rng):
    net = FloatNet(rng, x=(1, 3))
    net.add("Cast", "x", to=7)
    assert measure(net.graph(), batches(rng, 1, 2, 3), ["cast0"]) == {}


def test_no_batch_is_refused(rng: Rng):
    net = FloatNet(rng, x=(1, 3))
    net.add("Tanh", "x")
    with pytest.raises(CompressionError, match="the calibration set is empty"):
        measure(net.graph(), [], ["x"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_the_name_of_the_value(bad: float, rng: Rng):
    net = FloatNet(rng, x=(1, 3))
    double = net.add("Add", "x", "x")
    samples = batches(rng, 2, 2, 3)
    samples[1]["x"][0, 1] = bad
    with pytest.raises(CompressionError, match=f"value '{double}' is NaN or infinite"):
        measure(net.graph(), samples, [double])


def test_progress_is_told_after_each_batch(rng: Rng):
    net = FloatNet(rng, x=(1, 3))
    net.add("Tanh", "x")
    told: list[float] = []
    measure(net.graph(), batches(rng, 4, 1, 3), ["x"], told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
