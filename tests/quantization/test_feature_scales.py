import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from float_graphs import FloatNet, Rng
from tf2.ir import Feature
from tf2.numerics.fixed_point import MAX_ADD_SPREAD, dequantize, quantize
from tf2.quantization import TensorRange, partition
from tf2.quantization.feature_scales import (
    FINER,
    additions_of,
    choose,
    choose_all,
    groups_of_equal_scale,
)

SIGNED, UNSIGNED = 0, -128


def range_of(*values: float) -> TensorRange:
    """The range of a tensor of one channel that holds exactly these values."""
    sample = np.array(values, np.float32)
    return TensorRange(
        low=float(sample.min()),
        high=float(sample.max()),
        channel_max=np.abs(sample).max(keepdims=True),
        sample=sample,
    )


def layer(net: FloatNet) -> str:
    """A layer whose result is bytes, whatever reads it."""
    return net.add("Relu", net.conv("x", 4, (1,)))


def groups(net: FloatNet, *outputs: str) -> list[set[str]]:
    graph = net.graph(*outputs)
    return [set(group) for group in groups_of_equal_scale(graph, partition(graph))]


def test_concat_joins_its_operands_and_result_and_what_moves_them_on(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    first, second = layer(net), layer(net)
    joined = net.add("Concat", first, second, axis=1)
    pooled = net.add("MaxPool", joined, kernel_shape=(2,))
    assert groups(net) == [{"x"}, {first, second, joined, pooled}]


def test_concats_that_share_an_operand_are_one_group(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    a, b, c = (layer(net) for _ in range(3))
    left, right = net.add("Concat", a, b, axis=1), net.add("Concat", b, c, axis=1)
    assert groups(net, left, right) == [{"x"}, {a, b, c, left, right}]


def test_additions_pools_and_layers_join_nothing(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    a, b = layer(net), layer(net)
    total = net.add("Add", a, b)
    mean = net.add("GlobalAveragePool", total)
    net.conv(mean, 2, (1,))
    assert groups(net) == [{"x"}, {a}, {b}, {total}, {mean}]


def test_only_the_value_before_a_fused_activation_is_no_feature(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    relu = net.add("Relu", net.conv("x", 4, (1,)))
    assert groups(net) == [{"x"}, {relu}]


def test_all_parts_of_a_split_share_the_scale(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    whole = layer(net)
    parts = net.add("Split", whole, np.array([1, 3]), outputs=2, axis=1)
    assert groups(net, parts, f"{parts}.1") == [{"x"}, {whole, parts, f"{parts}.1"}]


def test_shapes_and_indices_are_no_features(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    value = layer(net)
    flat = net.add("Reshape", value, np.array([0, 24]))
    chosen = net.add("Gather", flat, np.array([1, 2]), axis=1)
    assert groups(net) == [{"x"}, {value, flat, chosen}]


def test_sums_that_leave_the_array_are_no_features(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    net.add("Sigmoid", net.conv("x", 4, (1,)))
    assert groups(net) == [{"x"}]


@given(st.floats(1e-12, 1e12), st.booleans())
def test_the_maximum_rule_is_the_finest_scale_that_holds_the_largest_value(largest, never_negative):
    """The original tries Q until max * 2**Q > 127 (255 without a sign) and takes the one before."""
    levels = 255 if never_negative else 127
    found = choose([range_of(largest)], rule="maximum", never_negative=never_negative).frac_bits
    q = -64
    while float(np.float32(largest)) * 2.0 ** (q + 1) <= levels * (1 + 1.4e-6):
        q += 1
    assert found == q


@pytest.mark.parametrize(
    ("largest", "frac_bits"), [(127.0, 0), (127.1, -1), (1.0, 6), (63.6, 0), (63.5, 1), (0.01, 13)]
)
def test_the_maximum_rule_by_hand(largest: float, frac_bits: int):
    for values in ((largest,), (-largest, 0.25 * largest)):
        chosen = choose([range_of(*values)], rule="maximum", never_negative=False)
        assert chosen == Feature(frac_bits, SIGNED)


@pytest.mark.parametrize("never_negative", [False, True])
@pytest.mark.parametrize("tail", [0.7, 2.0, 8.0])
def test_the_error_rule_has_the_least_squared_error_of_all_scales(tail, never_negative, rng: Rng):
    """Heavier tails are better cut off; no scale from -20 to 20 does better than the chosen."""
    sample = rng.normal(size=5000) * np.exp(rng.normal(size=5000) / tail)
    sample = (np.abs(sample) if never_negative else sample).astype(np.float32)
    zero_point = UNSIGNED if never_negative else SIGNED

    def error(q: int) -> float:
        restored = dequantize(quantize(sample, q, zero_point), q, zero_point)
        return float(np.square(restored.astype(float) - sample).mean())

    maximum = choose([range_of(*sample)], rule="maximum", never_negative=never_negative)
    chosen = choose([range_of(*sample)], rule="error", never_negative=never_negative)
    tried = range(maximum.frac_bits, maximum.frac_bits + FINER + 1)
    assert chosen.frac_bits == min(tried, key=error)
    assert error(chosen.frac_bits) == min(error(q) for q in range(-20, 21))


def test_all_tensors_of_a_group_count(rng: Rng):
    ranges = [range_of(0.1, 0.2), range_of(-3.0), range_of(0.5)]
    assert choose(ranges, rule="maximum", never_negative=False) == Feature(5, SIGNED)


@pytest.mark.parametrize("rule", ["error", "maximum"])
def test_a_dead_tensor_has_a_scale_too(rule: str):
    scales = choose_all([["dead"]], {"dead": range_of(0.0, 0.0)}, rule=rule)
    assert scales == {"dead": Feature(0, UNSIGNED)}


@pytest.mark.parametrize("rule", ["error", "maximum"])
@pytest.mark.parametrize("largest", [1e-38, 3e38])
def test_extreme_values_keep_within_the_bounds_of_frac_bits(largest: float, rule: str):
    chosen = choose([range_of(largest)], rule=rule, never_negative=False)
    assert abs(chosen.frac_bits) <= 60


def test_a_group_is_never_negative_when_no_tensor_of_it_is():
    ranges = {"a": range_of(0.0, 1.0), "b": range_of(-0.5, 1.0)}
    apart = choose_all([["a"], ["b"]], ranges, rule="maximum")
    assert (apart["a"].zero_point, apart["b"].zero_point) == (UNSIGNED, SIGNED)
    joined = choose_all([["a", "b"]], ranges, rule="maximum")
    assert joined == {"a": Feature(6, SIGNED), "b": Feature(6, SIGNED)}


@pytest.mark.parametrize("rule", ["error", "maximum"])
def test_pixels_computed_back_from_normalized_ones_are_bytes(rule: str):
    """CIFAR's green channel, mean 0.4865 and deviation 0.2564: float32 makes pixel 0 -0.000015."""
    pixels = np.arange(256, dtype=np.float32)
    x = (pixels / np.float32(255) - np.float32(0.4865)) / np.float32(0.2564)
    restored = x * np.float32(255 * 0.2564) + np.float32(0.4865 * 255)
    assert restored.min() < 0
    for values in (restored, np.append(restored, 255.0001)):
        scales = choose_all([["x"]], {"x": range_of(*values)}, rule=rule)
        assert scales == {"x": Feature(0, UNSIGNED)}


def test_values_that_round_to_something_negative_keep_their_sign():
    """Steps are 2**-7 for 1.0, tried down to 2**-10: half of that is the border."""
    border = 2.0**-11
    for low, zero_point in ((-border, UNSIGNED), (-1.01 * border, SIGNED)):
        scales = choose_all([["x"]], {"x": range_of(low, 1.0)}, rule="maximum")
        assert scales["x"].zero_point == zero_point


def spread(scales: dict[str, Feature]) -> int:
    bits = [feature.frac_bits for feature in scales.values()]
    return max(bits) - min(bits)


def test_the_scales_of_an_addition_come_within_its_bound():
    ranges = {"a": range_of(-1000.0), "b": range_of(-1e-6), "sum": range_of(-1000.0)}
    free = choose_all([["a"], ["b"], ["sum"]], ranges, rule="maximum")
    assert spread(free) > MAX_ADD_SPREAD
    bound = choose_all(
        [["a"], ["b"], ["sum"]], ranges, rule="maximum", additions=[("a", "b", "sum")]
    )
    assert spread(bound) == MAX_ADD_SPREAD
    assert (bound["a"], bound["sum"]) == (free["a"], free["sum"])


def test_scales_are_lowered_through_chains_of_additions():
    """b must come near a, and c near b: c ends 14 above b, which ends 14 above a."""
    ranges = {name: range_of(-(10.0**-e)) for name, e in (("a", -9), ("b", 0), ("c", 9))}
    scales = choose_all(
        [["a"], ["b"], ["c"]], ranges, rule="maximum", additions=[("b", "c", "c"), ("a", "b", "b")]
    )
    a, b, c = (scales[name].frac_bits for name in "abc")
    assert (b - a, c - b) == (MAX_ADD_SPREAD, MAX_ADD_SPREAD)


def test_a_dead_operand_takes_the_scale_of_the_others():
    ranges = {"a": range_of(-1e-6), "dead": range_of(0.0), "sum": range_of(-1e-6)}
    scales = choose_all(
        [["a"], ["dead"], ["sum"]], ranges, rule="maximum", additions=[("a", "dead", "sum")]
    )
    assert scales["dead"] == Feature(scales["a"].frac_bits, UNSIGNED)


def test_a_group_moves_as_a_whole_when_an_addition_lowers_it(rng: Rng):
    ranges = {"a": range_of(-1000.0), "b": range_of(-1e-6), "moved": range_of(-1e-6)}
    scales = choose_all([["a"], ["b", "moved"]], ranges, rule="error", additions=[("a", "b", "a")])
    assert scales["b"] == scales["moved"]


def test_additions_name_operands_and_the_result_after_the_activation(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    conv = net.conv("x", 4, (1,))
    relu = net.add("Relu", net.add("Add", conv, "x"))
    assert additions_of(partition(net.graph())) == [(conv, "x", relu)]
