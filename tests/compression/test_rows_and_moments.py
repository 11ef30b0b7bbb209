from itertools import product

import numpy as np
import pytest

from tf2.compression import statistics as module
from tf2.compression.rows import at_positions, gather, positions
from tf2.compression.statistics import Moments, WideRows, statistics
from tf2.numerics.integer_ops import Window

Rng = np.random.Generator


def window(kernel, *, strides=None, begin=None, end=None, dilations=None) -> Window:
    rank = len(kernel)
    return Window(
        kernel=kernel,
        strides=strides or (1,) * rank,
        pads_begin=begin or (0,) * rank,
        pads_end=end or (0,) * rank,
        dilations=dilations or (1,) * rank,
    )


def slow_rows(x: np.ndarray, win: Window, groups: int) -> np.ndarray:
    """Return every row by index arithmetic, one element at a time: (groups, rows, C/g * taps)."""
    channels = x.shape[1] // groups
    rows = []
    for n, *at in product(range(len(x)), *map(range, win.output_size(x.shape[2:]))):
        row = []
        for c, *tap in product(range(x.shape[1]), *map(range, win.kernel)):
            index = [
                a * s - b + t * d
                for a, s, b, t, d in zip(
                    at, win.strides, win.pads_begin, tap, win.dilations, strict=True
                )
            ]
            inside = all(0 <= i < size for i, size in zip(index, x.shape[2:], strict=True))
            row.append(x[(n, c, *index)] if inside else 0.0)
        rows.append(row)
    whole = np.array(rows, np.float32).reshape(len(rows), groups, -1)
    assert whole.shape[2] == channels * int(np.prod(win.kernel, dtype=int))
    return whole.transpose(1, 0, 2)


WINDOWS = [
    ((), window(())),
    ((7,), window((3,))),
    ((7,), window((3,), strides=(2,), begin=(1,), end=(2,))),
    ((9,), window((3,), dilations=(3,), begin=(4,), end=(1,))),
    ((5, 6), window((3, 2), begin=(1, 0), end=(1, 1))),
    ((5, 6), window((2, 3), strides=(2, 3), dilations=(2, 1), end=(0, -1))),
    ((4, 3, 5), window((2, 3, 1), strides=(1, 2, 2), begin=(0, 1, 0), end=(1, 1, 0))),
]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("size", "win"), WINDOWS)
def test_gathered_rows_are_those_of_the_definition(size, win: Window, groups: int, rng: Rng):
    x = rng.normal(size=(2, 4, *size)).astype(np.float32)
    shape = (2, 1, *win.output_size(size))
    rows = gather(x, win, positions(shape, 10**6, rng), groups)
    np.testing.assert_array_equal(rows, slow_rows(x, win, groups))


@pytest.mark.parametrize(("size", "win"), WINDOWS)
def test_sampled_rows_are_rows_of_the_whole(size, win: Window, rng: Rng):
    x = rng.normal(size=(3, 2, *size)).astype(np.float32)
    shape = (3, 5, *win.output_size(size))
    where = positions(shape, 4, rng)
    chosen = np.ravel_multi_index(where, (shape[0], *shape[2:]))
    assert len(chosen) == min(4, np.prod((3, *shape[2:])))
    assert (np.diff(chosen) > 0).all()  # in order, none twice
    np.testing.assert_array_equal(gather(x, win, where, 1), slow_rows(x, win, 1)[:, chosen])


def test_outputs_are_read_at_the_same_positions(rng: Rng):
    values = rng.normal(size=(3, 5, 4, 2))
    where = positions(values.shape, 7, rng)
    found = at_positions(values, where)
    for row, (n, i, j) in zip(found, zip(*where, strict=True), strict=True):
        np.testing.assert_array_equal(row, values[n, :, i, j])


def rows_and_targets(rng: Rng, batches: int, groups: int):
    """Return pairs of a 1-D layer of kernel 3, with their rows and outputs side by side."""
    win = window((3,), begin=(1,), end=(1,))
    mean = np.array([0.0, 300.0, -5.0, 0.0]).reshape(1, 4, 1)  # far from 0: digits would be lost
    pairs = []
    for _ in range(batches):
        x = (rng.normal(size=(4, 4, 6)) + mean).astype(np.float32)
        x[:, 3] = 0  # a channel that is always 0
        pairs.append((x, (rng.normal(size=(4, 2, 6)) + 7 * x[:, :2]).astype(np.float32)))
    rows = np.concatenate([slow_rows(x, win, groups) for x, _ in pairs], axis=1)
    targets = np.concatenate([t.transpose(0, 2, 1).reshape(-1, 2) for _, t in pairs])
    return win, pairs, rows, targets


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 27])
def test_moments_are_numpys_covariances(chunk_bytes, groups: int, rng: Rng, monkeypatch):
    """In chunks of 64 rows as in one; tolerance: float32 products, some 1e-6 of the largest."""
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    win, pairs, rows, targets = rows_and_targets(rng, 5, groups)
    found = statistics(pairs, batches=5, window=win, groups=groups, rows=10**6, rng=rng)
    assert isinstance(found, Moments)
    width = rows.shape[2]
    for g in range(groups):
        per_group = targets[:, g * 2 // groups : (g + 1) * 2 // groups]
        expected = np.cov(rows[g].T.astype(float), per_group.T.astype(float), bias=True)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            found.covariance[g] / scale, expected[:width, :width] / scale, rtol=0, atol=2e-6
        )
        np.testing.assert_allclose(
            found.target[g] / scale, expected[width:, :width] / scale, rtol=0, atol=2e-6
        )
    np.testing.assert_allclose(found.mean, rows.mean(axis=1, dtype=float), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found.target_mean, targets.mean(axis=0, dtype=float), rtol=1e-6)


def test_inputs_that_never_vary_have_no_covariance_at_all(rng: Rng):
    win, pairs, _, _ = rows_and_targets(rng, 3, 1)
    found = statistics(pairs, batches=3, window=win, groups=1, rows=10**6, rng=rng)
    assert isinstance(found, Moments)
    dead = slice(9, 12)  # the taps of the last channel
    assert not found.covariance[0][dead].any()
    assert not found.target[0][:, dead].any()


def test_about_as_many_rows_as_asked_for_are_seen_evenly(rng: Rng):
    """Each batch is marked by its mean; a tenth of the rows gives each the same weight still."""
    win = window((1,))
    pairs = [(np.full((2, 1, 50), float(i), np.float32),) * 2 for i in range(4)]
    found = statistics(pairs, batches=4, window=win, groups=1, rows=40, rng=rng)
    assert isinstance(found, Moments)
    assert found.mean.tolist() == [[1.5]]
    assert found.covariance[0, 0, 0] == pytest.approx(1.25)


def test_wide_layers_keep_their_centred_rows(rng: Rng, monkeypatch):
    monkeypatch.setattr(module, "WIDE", 11)
    win, pairs, rows, targets = rows_and_targets(rng, 2, 1)
    found = statistics(pairs, batches=2, window=win, groups=1, rows=10**6, rng=rng)
    assert isinstance(found, WideRows)
    # Rows of magnitude 300 in float32: a step is 3e-5.
    np.testing.assert_allclose(found.rows + found.mean, rows[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.targets + found.target_mean, targets, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.rows.mean(axis=0), 0, atol=1e-4)
