"""Every kind of image file a microscope or a colleague may hand over."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from skcell._images._decode import decode_files, decode_image
from skcell._images._failures import report_failures
from skcell._images._read import probe_image
from skcell.datasets import load_image_folder
from skcell.exceptions import ImageReadError, ImageReadWarning

ORIENTATION = 0x0112


def decode_images(paths, shape, on_error="raise", **params):
    """Decode files, and say which of them could not be, as the loaders of folders do."""
    images, kept, failures = decode_files(paths, shape, "uint8", **params)
    if failures:
        report_failures(failures, n_files=len(paths), on_error=on_error)
    return images, kept


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def png(height, width, depth, colour, pixels=b""):
    """Write a PNG by the book, for what Pillow cannot write."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_keep_each_pixel(tmp_path, rng, suffix, channels):
    pixels = rng.integers(0, 256, (12, 17, channels), dtype=np.uint8)
    path = tmp_path / f"cell.{suffix}"
    Image.fromarray(pixels.squeeze()).save(path)
    np.testing.assert_array_equal(decode_image(path, (12, 17, channels)), pixels)
    assert probe_image(path) == (channels, "uint8")


def test_jpeg_is_decoded_whatever_its_name(tmp_path):
    path = tmp_path / "cell.png"
    Image.new("RGB", (40, 30), (200, 30, 90)).save(path, format="JPEG", quality=95)
    image = decode_image(path, (30, 40, 3))
    assert np.abs(image.astype(int) - (200, 30, 90)).max() <= 3


def test_large_jpeg_is_resized_as_well_as_from_full_size(tmp_path, rng):
    smooth = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    large = smooth.resize((1600, 1200), Image.Resampling.BICUBIC)
    path = tmp_path / "cell.jpg"
    large.save(path, quality=95)
    exact = np.asarray(large.resize((96, 72), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(decode_image(path, (72, 96, 3)) - exact).mean() < 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_any_depth_and_channel_count_is_exact(tmp_path, rng, channels, dtype):
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (12, 17, channels)).astype(dtype)
    path = tmp_path / "cell.tif"
    layout = {"planarconfig": "contig"} if channels > 1 else {}
    tifffile.imwrite(path, pixels, photometric="minisblack", **layout)
    name = np.dtype(dtype).name
    np.testing.assert_array_equal(decode_image(path, (12, 17, channels), name), pixels)
    assert probe_image(path) == (channels, name)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb"},
        {"photometric": "rgb", "compression": "zlib"},
        {"photometric": "rgb", "bigtiff": True},
        {"photometric": "rgb", "byteorder": ">"},
        {"photometric": "rgb", "tile": (16, 16)},
    ],
    ids=str,
)
def test_16_bit_rgb_tiff_loses_no_bit(tmp_path, rng, options):
    pixels = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", pixels, **options)
    np.testing.assert_array_equal(
        decode_image(tmp_path / "cell.tif", (20, 30, 3), "uint16"), pixels
    )


@pytest.mark.parametrize("options", [{}, {"imagej": True, "metadata": {"axes": "CYX"}}], ids=str)
def test_pages_of_a_tiff_are_channels(tmp_path, rng, options):
    pixels = rng.integers(0, 65536, (5, 20, 30), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", pixels, **options)
    image = decode_image(tmp_path / "cell.tif", (20, 30, 5), "uint16")
    np.testing.assert_array_equal(image, np.moveaxis(pixels, 0, -1))


def test_inverted_16_bit_grey_tiff_is_turned_back(tmp_path):
    stored = np.full((8, 8), 65000, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", stored, photometric="miniswhite")
    assert decode_image(tmp_path / "cell.tif", (8, 8, 1), "uint16").max() == 535


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (np.zeros((4, 8, 8, 3), np.uint8), {"photometric": "rgb"}, "a stack of shape"),
        (np.zeros((4, 8, 8), np.uint8), {"imagej": True, "metadata": {"axes": "ZYX"}}, "axes ZYX"),
        (np.zeros((8, 8), np.float32), {}, "float32 pixels have no known range"),
        (np.zeros((8, 8), np.int16), {}, "int16 pixels have no known range"),
    ],
)
def test_tiff_that_is_not_one_image_is_refused(tmp_path, pixels, options, reason):
    tifffile.imwrite(tmp_path / "cell.tif", pixels, **options)
    with pytest.raises(ImageReadError, match=reason):
        decode_image(tmp_path / "cell.tif", (8, 8, 3))


def test_compressed_tiff_is_read_and_without_imagecodecs_names_the_extra(tmp_path, rng):
    pytest.importorskip("imagecodecs")
    pixels = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    path = tmp_path / "cell.tif"
    tifffile.imwrite(path, pixels, compression="lzw", photometric="rgb")
    np.testing.assert_array_equal(decode_image(path, (20, 30, 3), "uint16"), pixels)
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from skcell._images import decode_image\n"
        f"decode_image({str(path)!r}, (20, 30, 3))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LZW TIFF needs the package 'imagecodecs'" in run.stderr
    assert "pip install 'skcell[tiff]'" in run.stderr


def test_16_bit_grey_png_loses_no_bit(tmp_path, rng):
    pixels = rng.integers(0, 65536, (12, 17), dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "cell.png")
    image = decode_image(tmp_path / "cell.png", (12, 17, 1), "uint16")
    np.testing.assert_array_equal(image[..., 0], pixels)
    assert probe_image(tmp_path / "cell.png") == (1, "uint16")


@pytest.mark.parametrize(("channels", "colour"), [(3, 2), (4, 6)])
def test_16_bit_colour_png_loses_no_bit(tmp_path, rng, channels, colour):
    pixels = rng.integers(0, 65536, (12, 17, channels), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "cell.png").write_bytes(png(12, 17, 16, colour, rows))
    image = decode_image(tmp_path / "cell.png", (12, 17, channels), "uint16")
    np.testing.assert_array_equal(image, pixels)
    assert probe_image(tmp_path / "cell.png") == (channels, "uint16")


def test_depth_is_changed_over_the_whole_range(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    deep = decode_image(tmp_path / "8.png", (16, 16, 1), "uint16")[..., 0]
    np.testing.assert_array_equal(deep, ramp.astype(np.uint16) * 257)
    values = np.array([[0, 128, 129, 65535 - 129, 65535 - 128, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "16.png")
    shallow = decode_image(tmp_path / "16.png", (1, 6, 1))[0, :, 0]
    np.testing.assert_array_equal(shallow, [0, 0, 1, 254, 255, 255])


def test_resizing_16_bits_agrees_with_8(tmp_path, rng):
    pixels = rng.integers(80, 176, (40, 60, 3), dtype=np.uint8)  # far from being clipped
    Image.fromarray(pixels).save(tmp_path / "8.png")
    tifffile.imwrite(tmp_path / "16.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    shallow = decode_image(tmp_path / "8.png", (64, 64, 3)).astype(int)
    deep = decode_image(tmp_path / "16.tif", (64, 64, 3)).astype(int)
    assert np.abs(shallow - deep).max() <= 1


def test_resizing_16_bits_does_not_wrap_round_at_an_edge(tmp_path):
    pixels = np.zeros((20, 20), dtype=np.uint16)
    pixels[:, 10:] = 65535
    tifffile.imwrite(tmp_path / "cell.tif", pixels)
    row = decode_image(tmp_path / "cell.tif", (48, 48, 1), "uint16")[0, :, 0]
    assert row[:20].max() < 8000
    assert row[-20:].min() > 57000
    assert (row.min(), row.max()) == (0, 65535)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_rotation_flag_is_applied(tmp_path, orientation, suffix):
    upright = np.full((24, 40, 3), 255, dtype=np.uint8)
    upright[:8, :8] = 0  # a dark corner at the top left
    undo = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]
    image = Image.fromarray(upright)
    for step in undo:
        image = image.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"cell.{suffix}"
    image.save(path, exif=exif)
    decoded = decode_image(path, (24, 40, 3))
    assert decoded[2:6, 2:6].max() < 60
    assert decoded[12:].min() > 200
    assert decoded[:, 12:].min() > 200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_flag_of_16_bit_tiff_agrees_with_8_bit(tmp_path, rng, orientation):
    pixels = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    tag = [(274, 3, 1, orientation, True)]
    for name, factor in [("8", 1), ("16", 257)]:
        stored = pixels.astype(np.uint8 if factor == 1 else np.uint16) * np.uint16(factor)
        stored = stored.astype(np.uint8 if factor == 1 else np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", stored, photometric="rgb", extratags=tag)
    shape = (9, 6, 3) if orientation >= 5 else (6, 9, 3)
    np.testing.assert_array_equal(
        decode_image(tmp_path / "16.tif", shape), decode_image(tmp_path / "8.tif", shape)
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_blended_over_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    if mode == "P":
        image = Image.new("P", (4, 4), 1)
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.putpixel((0, 0), 0)
        image.info["transparency"] = 0
    else:
        image = image.convert(mode)
    image.save(tmp_path / "cell.png")
    decoded = decode_image(tmp_path / "cell.png", (4, 4, 3))
    np.testing.assert_array_equal(decoded[0, 0], [255, 255, 255])
    assert decoded[1:].max() == 0


def test_alpha_is_blended_in_16_bits(tmp_path):
    pixels = np.zeros((4, 4, 4), dtype=np.uint16)
    pixels[..., 3] = 65535 // 3
    tifffile.imwrite(tmp_path / "cell.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    decoded = decode_image(tmp_path / "cell.tif", (4, 4, 3), "uint16")
    assert (decoded == 65535 - 65535 // 3).all()


def test_four_channels_are_kept_where_four_are_asked_for(tmp_path, rng):
    pixels = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cell.png")
    np.testing.assert_array_equal(decode_image(tmp_path / "cell.png", (8, 8, 4)), pixels)


def test_palette_is_resolved(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 30, 90])
    image.save(tmp_path / "cell.png")
    assert decode_image(tmp_path / "cell.png", (4, 4, 3))[0, 0].tolist() == [200, 30, 90]


@pytest.mark.parametrize("mode", ["1", "CMYK"])
def test_rare_modes_become_grey_or_colour(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "cell.tif")
    decoded = decode_image(tmp_path / "cell.tif", (4, 4, 3))
    assert (decoded == (0 if mode == "1" else 255)).all()


def test_grey_is_repeated_and_colour_becomes_luminance(tmp_path, rng):
    pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    grey = decode_image(tmp_path / "colour.png", (8, 8, 1))[..., 0].astype(int)
    assert np.abs(grey - np.asarray(Image.fromarray(pixels).convert("L"))).max() <= 1
    repeated = decode_image(tmp_path / "grey.png", (8, 8, 3))
    np.testing.assert_array_equal(repeated, pixels[..., :1].repeat(3, axis=2))


def test_other_channel_counts_are_an_error(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "cell.png")
    with pytest.raises(ImageReadError, match=r"it has 3 channel\(s\), but 5 were requested"):
        decode_image(tmp_path / "cell.png", (8, 8, 5))


def _broken_files(folder):
    """Write one file of each broken kind; return the reason expected for each."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for suffix in ("jpg", "png", "bmp", "tif"):
        whole = folder / f"whole.{suffix}"
        Image.fromarray(noise).save(whole)
        content = whole.read_bytes()
        (folder / f"truncated.{suffix}").write_bytes(content[: len(content) // 2])
        whole.unlink()
    tifffile.imwrite(folder / "whole.tif", noise.astype(np.uint16), photometric="rgb")
    content = (folder / "whole.tif").read_bytes()
    (folder / "truncated16.tif").write_bytes(content[: len(content) // 2])
    (folder / "whole.tif").unlink()
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("not an image at all")
    (folder / "page.jpg").write_text("<html>login</html>")
    (folder / "header.tif").write_bytes(b"II*\0")
    (folder / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2))
    (folder / "folder.png").mkdir()
    return {
        "truncated.jpg": "truncated",
        "truncated.png": "truncated",
        "truncated.bmp": "truncated",
        "truncated.tif": "truncated",
        "truncated16.tif": "truncated",
        "empty.jpg": "empty: the file has 0 bytes",
        "text.png": "not a JPEG, PNG, BMP, WebP or TIFF image",
        "page.jpg": "not a JPEG, PNG, BMP, WebP or TIFF image",
        "header.tif": "truncated",
        "bomb.png": "decompression bomb",
        "folder.png": "cannot be opened: is a directory",
        "absent.png": "cannot be opened: no such file",
    }


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_broken_files_are_named_with_a_reason(tmp_path):
    expected = _broken_files(tmp_path)
    for name, reason in expected.items():
        with pytest.raises(ImageReadError, match=reason) as caught:
            decode_image(tmp_path / name, (16, 16, 3))
        assert list(caught.value.failures) == [str(tmp_path / name)]
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("channels", [3, 5])
def test_image_above_the_pixel_limit_is_refused(tmp_path, monkeypatch, channels):
    pixels = np.zeros((40, 40, channels), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", pixels, photometric="minisblack", planarconfig="contig")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageReadError, match="more than 1,000 pixels"):
        decode_image(tmp_path / "cell.tif", (16, 16, channels))


def _write(folder, n, size=16):
    paths = [str(folder / f"{index:03}.png") for index in range(n)]
    for index, path in enumerate(paths):
        Image.new("L", (size, size), index).save(path)
    return paths


@pytest.mark.parametrize("n_jobs", [None, 1, 3])
def test_many_files_keep_their_order(tmp_path, n_jobs):
    paths = _write(tmp_path, 100)
    images, kept = decode_images(paths, (16, 16, 1), n_jobs=n_jobs)
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(100))
    np.testing.assert_array_equal(kept, np.arange(100))


def test_one_error_names_the_first_files_and_holds_all(tmp_path):
    paths = _write(tmp_path, 80)
    for path in paths[::8]:
        open(path, "w").close()
    with pytest.raises(ImageReadError, match="10 of 80 files cannot be used") as caught:
        decode_images(paths, (16, 16, 1))
    assert list(caught.value.failures) == paths[::8]
    assert paths[0] in str(caught.value)
    assert "and 5 more" in str(caught.value)
    assert "on_error='warn'" in str(caught.value)


def test_one_warning_counts_the_files_left_out(tmp_path):
    paths = _write(tmp_path, 80)
    for path in paths[::8]:
        open(path, "w").close()
    with pytest.warns(ImageReadWarning, match="10 of 80 files were skipped") as caught:
        images, kept = decode_images(paths, (16, 16, 1), on_error="warn")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(kept, [index for index in range(80) if index % 8])
    np.testing.assert_array_equal(images[:, 0, 0, 0], kept)


def test_nothing_left_is_an_error_even_when_warnings_are_asked_for(tmp_path):
    paths = _write(tmp_path, 3)
    for path in paths:
        open(path, "w").close()
    with pytest.raises(ImageReadError, match="No file is left"):
        decode_images(paths, (16, 16, 1), on_error="warn")


def test_nothing_is_printed_into_a_log(tmp_path, capfd):
    decode_images(_write(tmp_path, 40), (16, 16, 1), progress=True)
    assert capfd.readouterr() == ("", "")


def test_memory_stays_near_the_size_of_the_result(tmp_path):
    resource = pytest.importorskip("resource")
    del resource
    pixels = np.zeros((1500, 1500, 3), dtype=np.uint8)
    for index in range(12):
        Image.fromarray(pixels).save(tmp_path / f"{index}.bmp")
    code = (
        "import glob, resource\n"
        "from skcell._images import decode_files\n"
        f"paths = sorted(glob.glob({str(tmp_path)!r} + '/*.bmp'))\n"
        "decode_files(paths[:1], (16, 16, 3), 'uint8', n_jobs=2)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_files(paths * 8, (16, 16, 3), 'uint8', n_jobs=2)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    env = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    kilobytes = int(run.stdout) // (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 60_000  # 96 images of 6.75 MB would be 648 MB


# One file is one image


def ome_xml(own, files, *, per_image):
    """OME-XML that names several files, as microscopes write it into each of them."""
    uuid = "urn:uuid:{}0000000-0000-0000-0000-000000000000"
    sizes = 'SizeX="9" SizeY="8" SizeZ="1" SizeT="1"'

    def data(i, channel):
        return (
            f'<TiffData IFD="0" FirstC="{channel}" PlaneCount="1">'
            f'<UUID FileName="{files[i]}">{uuid.format(i)}</UUID></TiffData>'
        )

    def image(i, content, n_channels):
        channels = "".join(f'<Channel ID="Channel:{i}:{c}"/>' for c in range(n_channels))
        return (
            f'<Image ID="Image:{i}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint8" '
            f'{sizes} SizeC="{n_channels}">{channels}{content}</Pixels></Image>'
        )

    if per_image:
        images = "".join(image(i, data(i, 0), 1) for i in range(len(files)))
    else:
        images = image(0, "".join(data(i, i) for i in range(len(files))), len(files))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="{uuid.format(own)}">{images}</OME>'
    )


def write_ome(folder, rng, *, per_image):
    files = ["A.ome.tif", "B.ome.tif"]
    pixels = rng.integers(0, 256, (2, 8, 9), dtype=np.uint8)
    for i, file in enumerate(files):
        xml = ome_xml(i, files, per_image=per_image)
        tifffile.imwrite(folder / file, pixels[i], description=xml, metadata=None)
    return [folder / file for file in files], pixels


def test_positions_of_one_ome_set_are_each_their_own_pixels(tmp_path, rng):
    paths, pixels = write_ome(tmp_path, rng, per_image=True)
    for path, expected in zip(paths, pixels, strict=True):
        np.testing.assert_array_equal(decode_image(path, (8, 9, 1))[..., 0], expected)
    paths[0].unlink()  # a sister that is missing changes nothing
    np.testing.assert_array_equal(decode_image(paths[1], (8, 9, 1))[..., 0], pixels[1])


@pytest.mark.parametrize("missing", [False, True])
def test_a_channel_in_a_sister_file_is_named(tmp_path, rng, missing):
    (first, second), _ = write_ome(tmp_path, rng, per_image=False)
    if missing:
        first.unlink()
    with pytest.raises(ImageReadError, match=r"B.ome.tif: a part of an image .* in A\.ome\.tif"):
        decode_image(second, (8, 9, 1))


def test_several_images_in_one_tiff_are_an_error_and_named_channels_are_not(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 8, 9), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(pixels[0])
        file.write(pixels[1, :5])
    with pytest.raises(ImageReadError, match=r"two\.tif: 2 images in one file"):
        decode_image(tmp_path / "two.tif", (8, 9, 1))
    with tifffile.TiffWriter(tmp_path / "appended.tif") as file:
        for page in pixels:
            file.write(page, metadata=None)
    with pytest.raises(ImageReadError, match=r"appended\.tif: 3 pages, .*'axes': 'CYX'"):
        decode_image(tmp_path / "appended.tif", (8, 9, 3))
    tifffile.imwrite(tmp_path / "named.ome.tif", pixels, metadata={"axes": "CYX"})
    found = decode_image(tmp_path / "named.ome.tif", (8, 9, 3))
    np.testing.assert_array_equal(found, np.moveaxis(pixels, 0, -1))


def test_a_thumbnail_is_not_the_image(tmp_path, rng):
    pixels = rng.integers(0, 256, (8, 9), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "cell.tif") as file:
        file.write(pixels[::2, ::2], subfiletype=1, metadata=None)
        file.write(pixels, metadata=None)
    np.testing.assert_array_equal(decode_image(tmp_path / "cell.tif", (8, 9, 1))[..., 0], pixels)


def test_several_frames_of_another_format_are_an_error(tmp_path):
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 255)]
    frames[0].save(tmp_path / "cell.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageReadError, match="2 images in one file"):
        decode_image(tmp_path / "cell.png", (8, 8, 3))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_an_image_that_is_all_transparent_is_named(tmp_path, suffix):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., 0] = 200
    Image.fromarray(pixels).save(
        tmp_path / f"cell.{suffix}",
        **({"lossless": True, "exact": True} if suffix == "webp" else {}),
    )
    with pytest.raises(ImageReadError, match="alpha channel is 0 everywhere"):
        decode_image(tmp_path / f"cell.{suffix}", (8, 8, 3))


def test_a_header_that_promises_too_much_is_one_file_among_others(tmp_path):
    tifffile.imwrite(
        tmp_path / "cell.tif",
        np.zeros((8, 8, 5), np.uint16),
        planarconfig="contig",
        photometric="minisblack",
    )
    content = bytearray((tmp_path / "cell.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "cell.tif") as file:
        tag = file.pages[0].tags["SamplesPerPixel"]
    content[tag.valueoffset : tag.valueoffset + 2] = (65535).to_bytes(2, "little")
    (tmp_path / "cell.tif").write_bytes(content)
    with pytest.raises(ImageReadError, match=r"cell\.tif: "):
        decode_image(tmp_path / "cell.tif", (8, 8, 5))
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    with pytest.warns(ImageReadWarning, match=r"cell\.tif"):
        _, kept = decode_images(
            [tmp_path / "cell.tif", tmp_path / "good.png"], (8, 8, 3), on_error="warn"
        )
    assert kept.tolist() == [1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(ImageReadError, match="not a file but a pipe"):
        decode_image(tmp_path / "x.jpg", (8, 8, 3))


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.webp"])
def test_further_endings_are_read(tmp_path, name):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (10, 200, 30)).save(
            tmp_path / folder / name, format="WEBP" if name.endswith("webp") else "JPEG"
        )
    images = load_image_folder(tmp_path, image_size=8).images
    assert np.abs(images.astype(int) - (10, 200, 30)).max() < 8


def test_16_bit_grey_with_alpha_is_named(tmp_path):
    content = png(8, 8, 16, 4)
    (tmp_path / "cell.png").write_bytes(content)
    with pytest.raises(ImageReadError, match="16-bit grey with alpha"):
        decode_image(tmp_path / "cell.png", (8, 8, 1), "uint16")
