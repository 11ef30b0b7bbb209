"""Small images made here, and the real ones next to the repository where they are present."""

from pathlib import Path

import numpy as np
import pytest

MODELS = Path(__file__).resolve().parents[2].parent / "shared/models"


def real(name):
    """The path of a real data set; skips the test where it is absent."""
    path = MODELS / name
    if not path.exists():
        pytest.skip(f"real data absent: no shared/models/{name} next to the repository")
    return path


@pytest.fixture
def imagenet():
    return real("imagenet-images")


@pytest.fixture
def cifar10():
    return real("cifar10")


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def save_image(tmp_path):
    """Write uint8 pixels below tmp_path and return the path."""
    from PIL import Image

    def save(name, pixels, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    return save


@pytest.fixture
def photos(save_image, tmp_path, rng):
    """A folder of five 40x50 images in two class folders."""
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/10.jpg", "dog/2.JPG"):
        save_image(f"photos/{name}", rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    return tmp_path / "photos"
