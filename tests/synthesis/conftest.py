import pytest

from tf2.errors import MissingExtraError
from tf2.synthesis import find_toolchain


@pytest.fixture
def toolchain():
    try:
        return find_toolchain()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF2_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
