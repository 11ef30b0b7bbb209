"""The examples and tables of docs/numerics.md are what the code does."""

import doctest
import re
from pathlib import Path

from tf2.numerics import fixed_point, pot4

PAGE = Path(__file__).parents[2] / "docs/numerics.md"


def test_every_example_of_the_page_gives_what_it_shows():
    results = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert results.attempted >= 15
    assert results.failed == 0


def test_the_page_gives_the_bounds_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    signed, unsigned = re.findall(r"`s <= (\d+)` into `[su]8`", text)
    assert fixed_point.MAX_SHIFT == {0: int(signed), -128: int(unsigned)}
    assert f"-{fixed_point.MAX_FRAC_BITS}..{fixed_point.MAX_FRAC_BITS}" in text
    assert f"lie within {fixed_point.MAX_ADD_SPREAD} of each other" in text
    assert f"multiplier `M` (0..{fixed_point.MAX_MULTIPLIER})" in text


def test_the_page_gives_the_code_book():
    by_page = [-(2**c) for c in range(7)] + [0] + [2 ** (c - 8) for c in range(8, 15)]
    assert list(pot4.VALUES) == by_page
