import numpy as np
import pytest
from hypothesis import given

from strategies import codes, weights
from tf2.numerics import pot4


def words(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint16)


def test_the_code_book_is_the_original_one():
    expected = [-1, -2, -4, -8, -16, -32, -64, 0, 1, 2, 4, 8, 16, 32, 64]
    decoded = pot4.decode(np.arange(15, dtype=np.uint8))
    assert decoded.tolist() == expected
    assert decoded.dtype == np.int8
    assert list(pot4.VALUES) == expected


def test_every_code_survives_decoding_and_encoding():
    every = np.arange(15, dtype=np.uint8)
    np.testing.assert_array_equal(pot4.encode(pot4.decode(every)), every)


def test_decoding_refuses_every_code_beyond_14():
    for code in range(15, 256):
        with pytest.raises(ValueError, match=rf"codes must be 0\.\.14, found {code}$"):
            pot4.decode(np.array([7, code], dtype=np.uint8))


def test_encoding_refuses_every_integer_but_the_15_weights():
    for weight in {*range(-300, 300)} - {*pot4.VALUES}:
        with pytest.raises(ValueError, match=rf"found {weight}$"):
            pot4.encode(np.array([0, weight]))


def test_the_first_code_is_in_the_lowest_four_bits():
    assert pot4.pack(np.array([1, 2, 3, 4], np.uint8)).tolist() == [0x4321]


def test_the_last_word_is_filled_with_the_code_of_zero():
    assert pot4.pack(np.array([1, 2, 3, 4, 5], np.uint8)).tolist() == [0x4321, 0x7775]


def test_nothing_packs_into_nothing():
    assert pot4.pack(np.array([], np.uint8)).shape == (0,)
    assert pot4.unpack(words(), 0).shape == (0,)


@given(codes)
def test_unpacking_gives_back_the_packed_codes_in_c_order(array: np.ndarray):
    packed = pot4.pack(array)
    assert packed.dtype == np.uint16
    assert packed.size == (array.size + 3) // 4
    np.testing.assert_array_equal(pot4.unpack(packed, array.size), array.reshape(-1))


@given(weights)
def test_weights_survive_encoding_packing_and_back(array: np.ndarray):
    restored = pot4.decode(pot4.unpack(pot4.pack(pot4.encode(array)), array.size))
    np.testing.assert_array_equal(restored.reshape(array.shape), array)


def test_packing_refuses_code_15():
    with pytest.raises(ValueError, match=r"codes must be 0\.\.14, found 15"):
        pot4.pack(np.array([0, 15], np.uint8))


@pytest.mark.parametrize("nibble", range(4))
def test_unpacking_refuses_code_15_in_any_place(nibble: int):
    damaged = words(0x7777, 0x7777 | 0xF << 4 * nibble)
    with pytest.raises(ValueError, match="code 15 stands for no weight"):
        pot4.unpack(damaged, 8)


@pytest.mark.parametrize("count", [5, 6, 7])
def test_unpacking_refuses_a_tail_that_is_not_zero_weights(count: int):
    with pytest.raises(ValueError, match="not filled with the code of 0"):
        pot4.unpack(words(0x7777, 0x1777), count)


@pytest.mark.parametrize("count", [0, 3, 4, 9])
def test_unpacking_refuses_a_number_of_words_that_does_not_fit(count: int):
    with pytest.raises(ValueError, match=f"{count} codes need {(count + 3) // 4} words, found 2"):
        pot4.unpack(words(0x7777, 0x7777), count)
