from dataclasses import replace

import pytest

from tf2.arch import NAMED, OverlayConfig, named_config
from tf2.arch.register_map import Register
from tf2.errors import ConfigError

SMALL = named_config("test-small")


def test_the_original_has_as_many_lanes_as_the_paper():
    original = named_config("original-3840")
    assert original.lanes == 3840
    assert original.feature_rows * original.row_bytes == pytest.approx(2.5e6, rel=0.02)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ConfigError, match="no configuration 'big'; there are original-3840, ecp5"):
        named_config("big")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outputs", 3), ("inputs", 0), ("inputs", 12), ("filter_words", 8), ("pool_groups", 5),
        ("ddr_bytes", 256), ("pixels", 0), ("pixels", 32), ("feature_rows", 8), ("post_pixels", 4),
        ("outputs", 16), ("lane", "dsp"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"{field} = "):
        replace(SMALL, **{field: value})


def test_derived_sizes():
    assert (SMALL.parts, SMALL.weight_bits, SMALL.filter_word_bytes) == (2, 4, 16)
    assert (SMALL.parameter_words, SMALL.row_bytes, SMALL.row_beats) == (2, 24, 2)
    assert SMALL.post_beats == 2
    tiny = OverlayConfig(
        outputs=1, pixels=1, inputs=1, feature_rows=16, filter_words=16, post_pixels=1,
        pool_groups=4, ddr_bytes=4,
    )  # fmt: skip
    assert (tiny.filter_word_bytes, tiny.parameter_words) == (1, 8)


def test_the_hash_tells_configurations_apart_but_not_their_names():
    assert replace(SMALL, name="other").hash == SMALL.hash
    assert replace(SMALL, pool_groups=64).hash != SMALL.hash
    assert len({config.hash for config in NAMED.values()}) == len(NAMED)


def test_registers_lie_at_words_of_their_own():
    addresses = [int(register) for register in Register]
    assert all(address % 4 == 0 for address in addresses)
    assert len(set(addresses)) == len(addresses)
