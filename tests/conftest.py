"""Seeds of every test: Hypothesis derandomized, and one generator a test, seeded by its name."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("tf2", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("tf2")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator whose seed follows from the test's name, and is shown when the test fails."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)
