import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tf2.data.resize import MAX_SIDE, Resize
from tf2.errors import DataError


@pytest.mark.parametrize(
    ("resize", "image", "target"),
    [
        (Resize(mode="squash", size=256), (100, 900), (256, 256)),
        (Resize(mode="squash", size=(20, 30)), (100, 900), (20, 30)),
        (Resize(mode="short-side", size=256), (375, 500), (256, 341)),  # torchvision: rounds down
        (Resize(mode="short-side", size=256), (500, 375), (341, 256)),
        (Resize(mode="letterbox", size=640), (480, 640), (480, 640)),
        (Resize(mode="letterbox", size=(320, 640)), (480, 640), (320, 427)),
        (Resize(mode="letterbox", size=8), (1, 1000), (1, 8)),
    ],
)
def test_target(resize, image, target):
    assert resize.target(*image) == target


def test_letterbox_centres_the_image_on_the_fill():
    image = np.full((2, 8, 3), 7, np.uint8)
    result = Resize(mode="letterbox", size=8, fill=114).apply(image)
    assert result[:, 0, 0].tolist() == [114, 114, 114, 7, 7, 114, 114, 114]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(1, 40))
def test_squash_and_letterbox_give_exactly_the_size(h, w, goal_h, goal_w):
    image = np.zeros((h, w, 3), np.uint8)
    for mode in ("squash", "letterbox"):
        assert Resize(mode=mode, size=(goal_h, goal_w)).apply(image).shape == (goal_h, goal_w, 3)


def test_a_strip_that_would_become_huge_is_refused():
    with pytest.raises(DataError, match=r"1x10000 .* would become 256x2560000"):
        Resize(mode="short-side", size=256).apply(np.zeros((1, 10000, 3), np.uint8))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0}, {"size": True}, {"size": MAX_SIDE + 1}, {"size": "224"}, {"size": (1, 2, 3)},
        {"mode": "stretch"}, {"interpolation": "lanczos"}, {"fill": 256}, {"colour": 1},
        {"mode": "short-side", "size": (2, 3)},
    ],
)  # fmt: skip
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        Resize.model_validate({"mode": "squash", "size": 8} | wrong)
