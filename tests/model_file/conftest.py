"""What every test of the model file runs with."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_wait_for_the_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out fsync, which takes most of the time, but where atomic writing is what is tested."""
    if "test_atomic" not in request.node.nodeid:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
