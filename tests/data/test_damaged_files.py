"""Whatever bytes a file holds: it is read, or a DataError names it. Nothing else comes out."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from tf2.data import (
    Preprocessing,
    Resize,
    Samples,
    open_image,
    read_class_names,
    read_labels,
)
from tf2.errors import DataError

ROUNDS = 120
RECIPE = Preprocessing(resize=Resize(mode="squash", size=4))


def damaged(content, rng):
    """Cut, flip, overwrite, insert or repeat bytes of ``content``."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(max(1, len(data))))
        length = int(rng.integers(1, 9))
        match rng.integers(6):
            case 0:
                del data[at:]
            case 1:
                data[at : at + length] = rng.bytes(length)
            case 2:
                data[at:at] = rng.bytes(length)
            case 3:
                del data[at : at + length]
            case 4:
                data[at : at + 1] = bytes([int(rng.choice([0, 1, 127, 128, 255]))])
            case 5:
                data[at:at] = data[at // 2 : at // 2 + 40]
    return bytes(data)


def picture(kind, **options):
    pixels = np.random.default_rng(3).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def refusal(read, path):
    """The text of the DataError that reading gives; None when it is read."""
    try:
        read(path)
    except DataError as error:
        return str(error)
    return None


def read_or_refused(read, path, rng, content):
    """Every damaged content is read, or refused by a DataError that names the file."""
    refusals = []
    for _ in range(ROUNDS):
        path.write_bytes(damaged(content, rng))
        refusals.append(refusal(read, path))
    assert all(path.name in text for text in refusals if text is not None)
    assert any(refusals), "the damage was never noticed: the test shows nothing"


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_images(tmp_path, rng, kind):
    options = {"progressive": True} if kind == "jpeg" else {}
    read_or_refused(open_image, tmp_path / f"a.{kind}", rng, picture(kind, **options))


@pytest.mark.parametrize("kind", ["gif", "bmp", "ppm"])
def test_images_without_metadata(tmp_path, rng, kind):
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)).save(buffer, kind)
    read_or_refused(open_image, tmp_path / f"a.{kind}", rng, buffer.getvalue())


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_a_truncated_image_is_refused_unless_all_pixels_are_there(tmp_path, kind):
    content = picture(kind)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    whole = open_image(path)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        if refusal(open_image, path) is None:
            assert length > 0.95 * len(content)
            np.testing.assert_array_equal(open_image(path), whole)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]
)
def test_zips_of_images(tmp_path, rng, compression):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("cat/1.png", picture("png"))
        archive.writestr("cat/2.jpg", picture("jpeg"))
    read_or_refused(
        lambda path: Samples.open(path, RECIPE).stacked(),
        tmp_path / "a.zip",
        rng,
        buffer.getvalue(),
    )


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy(tmp_path, rng, version):
    buffer = io.BytesIO()
    array = rng.normal(size=(3, 5)).astype(np.float32)
    np.lib.format.write_array(buffer, array, version=version)
    read_or_refused(
        lambda path: Samples.open(path).stacked(), tmp_path / "a.npy", rng, buffer.getvalue()
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, rng, save):
    buffer = io.BytesIO()
    save(buffer, x=rng.normal(size=(3, 5)).astype(np.float32), y=np.arange(3))
    read_or_refused(
        lambda path: Samples.open(path, key="x").stacked(),
        tmp_path / "a.npz",
        rng,
        buffer.getvalue(),
    )


def test_label_files(tmp_path, rng):
    content = b'file,class_index,name\n"a.png",3,"x, y"\nb/c.png,12,z\n' * 2
    read_or_refused(read_labels, tmp_path / "a.csv", rng, content)


def test_class_name_files(tmp_path, rng):
    read_or_refused(read_class_names, tmp_path / "a.txt", rng, "n01440764 tench\nchât\n".encode())


def test_preprocessing_files(tmp_path, rng):
    recipe = Preprocessing(resize=Resize(mode="letterbox", size=8), crop=(7, 7), mean=(1, 2, 3))
    read_or_refused(Preprocessing.load, tmp_path / "a.json", rng, recipe.model_dump_json().encode())
