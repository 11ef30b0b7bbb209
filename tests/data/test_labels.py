import numpy as np
import pytest

from tf2.data import (
    PRESETS,
    Samples,
    labels_from_folders,
    match_labels,
    read_array_labels,
    read_class_names,
    read_labels,
)
from tf2.errors import DataError

HEADER = "file,class_index\n"


@pytest.fixture
def text(tmp_path):
    def write(content):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_class_names_of_real_files(imagenet):
    names = read_class_names(imagenet / "synset_words.txt")
    assert len(names) == 1000
    assert names[0] == "tench, Tinca tinca"


def test_class_names_are_lines(text):
    assert read_class_names(text("cat\r\nn01440764 tench\n n1 x \n\n")) == ["cat", "tench", "n1 x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no class names"),
        ("\n \n", "no class names"),
        ("a\n\nb", "line 2: blank"),
        (b"\xff", "UTF-8"),
    ],
)
def test_wrong_class_names_are_refused(text, content, message):
    with pytest.raises(DataError, match=message):
        read_class_names(text(content))


def test_labels_of_the_real_csv_fit_the_folder_and_its_parts(imagenet):
    labels = read_labels(imagenet / "labels.csv")
    whole = Samples.open(imagenet, PRESETS["caffe-imagenet"])
    part = Samples.open(imagenet / "sample", PRESETS["caffe-imagenet"])
    classes = match_labels(whole.names, labels)
    assert classes.dtype == np.int64
    assert classes[:2].tolist() == [15, 23]
    np.testing.assert_array_equal(match_labels(part.names, labels), classes[: len(part)])


def test_columns_may_be_in_any_order_with_others_between(text):
    path = text('\ufeffname, Class_Index ,FILE\n"a, b",3,.\\x\\1.png\n\nc,0,y.png\n')
    assert read_labels(path) == {"x/1.png": 3, "y.png": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1: columns \[\]; 'file' and 'class_index' are needed"),
        ("a.png,3\n", "line 1: columns"),
        (HEADER, "a header and no rows"),
        (HEADER + "a.png,0\nb.png,cat\n", r"line 3: class_index 'cat' .*: 'b.png,cat'"),
        (HEADER + "a.png,-1\n", "line 2: class_index '-1'"),
        (HEADER + "a.png,1.0\n", "line 2: class_index '1.0'"),
        (HEADER + "a.png,\u0663\n", "line 2: class_index"),  # a digit to Python, not to us
        (HEADER + "a.png,9999999999\n", "line 2: class_index"),
        (HEADER + "a.png\n", "line 2: 1 columns, too few: 'a.png'"),
        (HEADER + ",1\n", "line 2: no file name"),
        (HEADER + "a.png,1\na.png,1\na.png,2\n", "line 4: a.png is class 1 in a line before"),
        (HEADER + "x" * 200_000 + ",1\n", "not a CSV: field larger"),
        (HEADER.encode() + b"\xff,1\n", "cannot be read as UTF-8 text"),
    ],
)
def test_a_wrong_csv_is_refused_by_line(text, content, message):
    with pytest.raises(DataError, match=message):
        read_labels(text(content))


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.csv: cannot be read"):
        read_labels(tmp_path / "no.csv")


def test_labels_without_a_sample_are_fine():
    labels = {"a/1.png": 1, "a/2.png": 2, "b/1.png": 3}
    assert match_labels(["b/1.png", "a/1.png"], labels).tolist() == [3, 1]
    assert match_labels(["2.png"], labels).tolist() == [2]
    assert match_labels(["deep/er/2.png"], labels).tolist() == [2]


def test_samples_without_a_label_are_counted_and_named():
    names = [f"{i}.png" for i in range(10)]
    with pytest.raises(
        DataError, match=r"6 of 10 .* in l\.csv: 4\.png, 5\.png, 6\.png, \.\.\. \(3 more\)"
    ):
        match_labels(names, dict.fromkeys(names[:4], 0), origin="l.csv")


def test_when_nothing_matches_both_sides_are_shown():
    with pytest.raises(
        DataError, match=r"1 of 1 samples have no label.*: a\.png.* 1 files: b\.png"
    ):
        match_labels(["a.png"], {"b.png": 0})


def test_a_base_name_of_several_classes_is_refused():
    labels = {"cat/1.png": 0, "dog/1.png": 1, "dog/2.png": 1, "cow/2.png": 1}
    assert match_labels(["2.png"], labels).tolist() == [1]
    with pytest.raises(DataError, match=r"1 of 2 samples share their base name .*: x/1\.png"):
        match_labels(["x/1.png", "2.png"], labels)


def test_base_names_are_not_mixed_with_paths():
    with pytest.raises(DataError, match=r"1 of 2 samples have no label.*: cow/2\.png"):
        match_labels(["cat/1.png", "cow/2.png"], {"cat/1.png": 0, "dog/2.png": 1})


def test_folders_are_classes_in_the_order_of_the_alphabet():
    names = ["x/dog/1.png", "x/cat/1.png", "x/dog/2.png"]
    classes, class_names = labels_from_folders(names)
    assert (classes.tolist(), class_names) == ([1, 0, 1], ["cat", "dog"])
    classes, class_names = labels_from_folders(names[:1], ["ant", "dog", "cat"])
    assert (classes.tolist(), class_names) == ([1], ["ant", "dog", "cat"])


def test_the_real_class_folders(cifar10):
    samples = Samples.open(cifar10 / "test_5k.zip", PRESETS["cifar10-torch"])
    classes, class_names = labels_from_folders(samples.names)
    assert np.bincount(classes).tolist() == [500] * 10
    assert (class_names[0], class_names[9]) == ("airplane", "truck")


@pytest.mark.parametrize(
    ("names", "class_names", "message"),
    [
        (["1.png", "cat/1.png"], None, r"1 lie in no folder: 1\.png"),
        (["cat/1.png", "cat/2.png"], None, r"all in \['cat'\]"),
        (["cat/1.png"], ["dog"], r"1 of 1 folders are not among the 1 class names: cat"),
    ],
)
def test_folders_that_are_no_classes_are_refused(names, class_names, message):
    with pytest.raises(DataError, match=message):
        labels_from_folders(names, class_names)


def test_labels_of_an_npz(cifar10):
    labels = read_array_labels(cifar10 / "lossless_test100.npz", "y")
    assert labels.dtype == np.int64
    assert labels[:4].tolist() == [3, 8, 8, 0]


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((2, 2), int), np.array([-1]), np.zeros(0, int)]
)
def test_arrays_that_are_no_labels_are_refused(tmp_path, array):
    np.savez(tmp_path / "a.npz", y=array)
    with pytest.raises(DataError, match=r"a.npz\[y\]"):
        read_array_labels(tmp_path / "a.npz", "y")
