"""Weights as sums of what the lanes can do."""

from __future__ import annotations

import numpy as np

from tf2.arch import named_config
from tf2.compiler.weights import as_terms, terms_needed
from tf2.numerics import pot4

EVERY_BYTE = np.arange(-128, 128).astype(np.int8)


def test_terms_add_up_to_every_byte_and_are_in_the_code_book():
    terms = as_terms(EVERY_BYTE, 5)
    np.testing.assert_array_equal(terms.sum(axis=0, dtype=np.int64), EVERY_BYTE)
    assert np.isin(terms, pot4.VALUES).all()


def test_no_more_words_are_taken_than_the_worst_weight_needs():
    sac = named_config("test-small")
    assert terms_needed(np.array(pot4.VALUES, dtype=np.int8), sac) == 1
    assert terms_needed(np.array([3, 64], dtype=np.int8), sac) == 2
    assert terms_needed(np.array([107], dtype=np.int8), sac) == 5
    assert terms_needed(EVERY_BYTE, named_config("test-mac")) == 1
