import io
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tf2.data import images
from tf2.data.images import ImageReader, find_images, image_names, open_image
from tf2.errors import DataError


def gradient(height=6, width=9):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 20, columns * 20, rows * 0 + 99], axis=2).astype(np.uint8)


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp"])
def test_lossless_formats_give_their_pixels(save_image, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    image = open_image(save_image(f"a.{suffix}", gradient(), **options))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, gradient())


def test_real_jpegs_are_read_as_opencv_reads_them(imagenet):
    for path in find_images(imagenet)[::60]:
        expected = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        # the two libjpeg-turbo builds may round chroma differently
        assert np.abs(open_image(path).astype(int) - expected).max() <= 2, path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(save_image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_image("a.png", gradient(), exif=exif)
    shown = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }[orientation](gradient())
    np.testing.assert_array_equal(open_image(path), shown)


def test_sixteen_bit_grey_keeps_its_upper_bits(save_image):
    deep = np.array([[0, 255, 256, 0x1234, 65535]], np.uint16)
    for name in ("a.png", "a.tiff"):
        image = open_image(save_image(name, deep))
        assert image[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]
        assert (image == image[:, :, :1]).all()


def test_other_modes_become_rgb(tmp_path):
    image = Image.fromarray(gradient())
    for mode in ("L", "1", "P", "LA", "RGBA", "CMYK"):
        path = tmp_path / f"{mode}.{'tiff' if mode == 'CMYK' else 'png'}"
        image.convert(mode).save(path)
        pixels = open_image(path)
        assert (pixels.shape, pixels.dtype) == ((6, 9, 3), np.uint8)
        if mode in ("RGBA", "CMYK"):
            np.testing.assert_array_equal(pixels, gradient())
        if mode in ("L", "LA"):
            np.testing.assert_array_equal(pixels[:, :, 1], np.asarray(image.convert("L")))


def test_transparency_is_dropped_not_blended(tmp_path):
    pixels = np.dstack([gradient(), np.zeros((6, 9), np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png"), gradient())
    palette = Image.fromarray(gradient()).quantize(4)
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255, 0, 9]))
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(open_image(tmp_path / "p.png"), expected)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_floating_point_pixels_are_refused(save_image):
    with pytest.raises(DataError, match=r"f.tiff: floating-point pixels"):
        open_image(save_image("f.tiff", np.zeros((3, 3), np.float32)))


def test_wide_integers_are_refused(save_image):
    with pytest.raises(DataError, match=r"i.tiff: pixels of 0..70000"):
        open_image(save_image("i.tiff", np.array([[0, 70000]], np.int32)))


def test_an_image_larger_than_the_bounds_is_refused(save_image, monkeypatch):
    path = save_image("a.png", gradient())
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 53)
    with pytest.raises(DataError, match=r"a.png: 9x6 pixels, more than 53"):
        open_image(path)
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 20)
    with pytest.raises(DataError, match=r"a.png: larger than"):
        open_image(path)
    archive = zipped(path.parent / "a.zip", {"b.png": path.read_bytes()})
    with pytest.raises(DataError, match=r"a.zip!b.png: larger than"):
        open_image(f"{archive}!b.png")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    bomb = bytearray(png(gradient()))
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # IHDR width and height
    import zlib

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"bomb.png: .*DecompressionBomb"):
        open_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.png", "cannot be read: No such file"),
        ("no.zip!a.png", "not a readable zip file: No such file"),
        (".", "cannot be read: Is a directory"),
        ("a\0b.png", "cannot be read: ValueError"),
    ],
)
def test_a_missing_file_is_named(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        open_image(f"{tmp_path}/{name}")


def test_text_is_no_image(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"a.png: not an image \(5 bytes\)"):
        open_image(tmp_path / "a.png")


def test_a_vector_format_is_not_run(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(DataError, match="not an image"):
        open_image(tmp_path / "a.png")


def test_a_folder_is_listed_in_path_order(photos):
    expected = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/10.jpg", "dog/2.JPG"]
    (photos / "dog/readme.txt").write_text("no image")
    (photos / ".hidden.png").write_text("left out")
    (photos / "__MACOSX").mkdir()
    (photos / "__MACOSX/1.png").write_text("left out")
    assert image_names(photos) == expected
    assert find_images(photos) == [str(photos / name) for name in expected]


def test_the_current_folder_is_listed_too(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert find_images(".")[0] == str(Path("cat/1.png"))


def test_linked_folders_are_followed_and_loops_end(photos, tmp_path):
    (tmp_path / "links").mkdir()
    os.symlink(photos / "cat", tmp_path / "links/cat")
    os.symlink(tmp_path / "links", tmp_path / "links/loop")
    assert image_names(tmp_path / "links") == ["cat/1.png", "cat/2.png"]


def test_a_folder_that_cannot_be_listed_is_named_and_not_left_out(photos, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"dog: cannot be listed: Permission denied"):
        find_images(photos)


def test_a_zip_is_read_in_place(tmp_path):
    archive = zipped(tmp_path / "A.ZIP", {"b/2.png": png(gradient()), "a.txt": "", "b/1.png": ""})
    assert find_images(archive) == [f"{archive}!b/1.png", f"{archive}!b/2.png"]
    np.testing.assert_array_equal(open_image(f"{archive}!b/2.png"), gradient())
    with pytest.raises(DataError, match=r"A.ZIP!b/3.png: cannot be read: KeyError"):
        open_image(f"{archive}!b/3.png")


def test_one_reader_opens_an_archive_once(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"1.png": png(gradient()), "2.png": png(gradient())})
    opened = []
    real = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or real(path))
    with ImageReader() as reader:
        for name in find_images(archive):
            reader.open(name)
    assert len(opened) == 2  # the listing's and the reader's


def test_a_zip_of_too_many_members_is_refused(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"1.png": "", "2.png": ""})
    monkeypatch.setattr(images, "MAX_ZIP_MEMBERS", 1)
    with pytest.raises(DataError, match="2 members, more than 1"):
        find_images(archive)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"no images\. Found: no files"),
        (["a.txt", "b.txt", "c"], r"no images\. Found: 2 \.txt, 1 without extension\..*\.jpeg"),
    ],
)
def test_a_place_without_images_says_what_it_holds(tmp_path, files, message):
    folder = tmp_path / "x"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("")
    with pytest.raises(DataError, match=message):
        find_images(folder)
    with pytest.raises(DataError, match=message):
        find_images(zipped(tmp_path / "x.zip", dict.fromkeys(files, "")))


def test_a_place_that_is_neither_folder_nor_zip_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    for name in ("a.txt", "missing"):
        with pytest.raises(DataError, match=f"{name}: not a folder and not a .zip"):
            find_images(tmp_path / name)
