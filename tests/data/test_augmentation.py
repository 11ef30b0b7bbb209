import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf2.data.augmentation import AREA, random_view


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(0, 99))
def test_a_view_has_the_size_and_only_values_of_the_image(h, w, side, seed):
    image = np.full((h, w, 3), 100, np.uint8)
    view = random_view(image, (side, side + 1), np.random.default_rng(seed))
    assert (view.shape, view.dtype) == ((side, side + 1, 3), np.uint8)
    assert np.unique(view).tolist() == [100]


def test_views_follow_the_seed():
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    views = [random_view(image, (30, 30), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()


def test_views_move_mirror_and_show_at_least_the_area_asked_for():
    # a ramp: the ends of a view's row tell where it was cut and whether it was mirrored
    columns = np.broadcast_to(np.arange(100, dtype=np.uint8), (100, 100))
    image = np.dstack([columns, columns.T, columns])
    ends = []
    for seed in range(200):
        view = random_view(image, (100, 100), np.random.default_rng(seed)).astype(int)
        ends.append((view[0, 0, 0], view[0, -1, 0], view[0, 0, 1], view[-1, 0, 1]))
    left, right, top, bottom = np.array(ends).T
    area = np.abs(right - left) * (bottom - top) / 100**2
    assert 0.35 < (left > right).mean() < 0.65
    assert area.min() > AREA[0] - 0.04  # the ends are pixel centres: a little inside the cut
    assert area.max() > 0.8
    assert area.mean() == pytest.approx(np.mean(AREA), abs=0.1)
    assert len(np.unique(np.minimum(left, right))) > 30
