import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from tf2.data import arrays
from tf2.data.arrays import as_float32, npz_shapes, read_npy, read_npz
from tf2.errors import DataError

NUMBERS = hnp.arrays(
    st.sampled_from([np.bool_, np.int8, np.uint8, np.int64, np.float16, np.float32, np.float64]),
    hnp.array_shapes(min_side=0, max_dims=4),
)


@settings(max_examples=40, deadline=None)
@given(NUMBERS)
def test_what_numpy_wrote_is_read_back(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("arrays")
    np.save(folder / "a.npy", array)
    np.savez_compressed(folder / "a.npz", x=array, y=np.zeros(3))
    for read in (read_npy(folder / "a.npy"), read_npz(folder / "a.npz", "x")):
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
    assert npz_shapes(folder / "a.npz") == {"x": array.shape, "y": (3,)}


def test_an_npy_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    array = read_npy(tmp_path / "a.npy")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}, None]), "holds pickled Python objects"),
        (np.array(["a", "b"]), "holds values of type <U1"),
        (np.zeros(2, complex), "holds values of type complex128"),
        (np.zeros(2, [("a", "f4")]), "holds values of type"),
    ],
)
def test_anything_but_numbers_is_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(DataError, match=message):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz", "x")


def claim(shape, content=b""):
    """An .npy whose header claims ``shape`` of float64 over ``content``."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


@pytest.mark.parametrize("shape", [(10**15,), (2, 2), (3,)])
def test_a_header_that_claims_more_than_is_there_allocates_nothing(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(claim(shape, bytes(16)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", claim(shape, bytes(16)))
    with pytest.raises(DataError, match=r"a.npy: truncated: 16 bytes of data"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"a.npz\[x\]: truncated: 16 bytes of data"):
        read_npz(tmp_path / "a.npz", "x")


def test_a_member_larger_than_the_bound_is_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros(100))
    monkeypatch.setattr(arrays, "MAX_ARRAY_BYTES", 800)
    with pytest.raises(DataError, match=r"a.npz\[x\]: 928 bytes, more than 800. Use a .npy"):
        npz_shapes(tmp_path / "a.npz")


def test_an_npz_names_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.zeros(2))
    with pytest.raises(DataError, match=r"no array 'z'. It holds x \(2, 3\), y \(2,\)"):
        read_npz(tmp_path / "a.npz", "z")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(DataError, match="holds no arrays"):
        npz_shapes(tmp_path / "empty.npz")


@pytest.mark.parametrize("name", ["missing", "text", "folder"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "folder").mkdir()
    for read in (read_npy, npz_shapes):
        with pytest.raises(DataError, match=rf"{name}: not a readable"):
            read(tmp_path / name)


@given(hnp.arrays(st.sampled_from([np.bool_, np.int8, np.uint8, np.int16]), (2, 3)))
def test_small_integers_become_float32_exactly(array):
    result = as_float32(array, "a")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, array)


def test_values_float32_cannot_hold_are_refused():
    assert as_float32(np.array([1 << 24, -(1 << 24)]), "a").tolist() == [1 << 24, -(1 << 24)]
    with pytest.raises(DataError, match=r"a\[0\]: integers of 0..16777217"):
        as_float32(np.array([0, (1 << 24) + 1]), "a[0]")
    with pytest.raises(DataError, match="1 of 2 values are NaN or infinite"):
        as_float32(np.array([0, 1e39]), "a")
    with pytest.raises(DataError, match="2 of 3 values are NaN or infinite"):
        as_float32(np.array([np.nan, np.inf, 1], np.float16), "a")
