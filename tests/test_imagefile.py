"""Picture files: what is read, what is refused, and that outputs are whole, bare and in their place."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sightline import Image
from sightline.errors import ImageError, InputError
from sightline.tools.imagefile import (
    Limits,
    open_image,
    read_header,
    safe_output,
    save_image,
)


def encoded(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def colours() -> PIL.Image.Image:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10, :15] = (255, 0, 0)
    pixels[10:, 15:] = (0, 0, 255)
    return PIL.Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_every_allowed_format_is_read(colours: PIL.Image.Image, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = encoded(colours, kind, **options)
    image = open_image(data)
    assert image.size == (30, 20)
    assert np.abs(image.pixels[3, 3].astype(int) - (255, 0, 0)).max() < 12
    assert not image.pixels.flags.writeable
    assert read_header(data) == (kind, 30, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(colours: PIL.Image.Image, orientation: int, tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = colours.transpose(PIL.Image.Transpose.ROTATE_90) if orientation in (6,) else colours
    path = tmp_path / "turned.jpg"
    stored.save(path, exif=exif, quality=95)
    image = open_image(path)
    assert read_header(path)[1:] == image.size
    if orientation in (1, 6):  # stored turned to the left, shown turned to the right again
        assert image.pixels[3, 3][0] > 240
        assert image.size == (30, 20)
    assert (image.width > image.height) == (orientation < 5 or orientation == 6)


def test_transparency_lies_on_white_and_grey_and_cmyk_become_rgb() -> None:
    clear = PIL.Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (open_image(encoded(clear, "PNG")).pixels == 255).all()
    palette = PIL.Image.new("P", (4, 4), 0)
    palette.putpalette([1, 2, 3] * 256)
    assert (open_image(encoded(palette, "PNG", transparency=0)).pixels == 255).all()
    cmyk = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert open_image(encoded(cmyk, "JPEG")).pixels[4, 4][0] > 200
    deep = PIL.Image.fromarray(np.full((4, 4), 0x8080, np.uint16))
    assert (open_image(encoded(deep, "PNG")).pixels == 128).all()
    assert open_image(encoded(PIL.Image.new("1", (4, 4), 1), "PNG")).pixels.min() == 255


def test_the_content_and_not_the_name_says_the_format(colours: PIL.Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "really_a_jpeg.png"
    path.write_bytes(encoded(colours, "JPEG"))
    assert open_image(path).size == (30, 20)
    other = tmp_path / "really_a_ppm.png"
    other.write_bytes(encoded(colours, "PPM"))
    with pytest.raises(ImageError, match=r"really_a_ppm.png is not a JPEG, PNG"):
        open_image(other)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_a_truncated_file_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path = tmp_path / "cut.img"
    path.write_bytes(encoded(noise, kind)[: 64 * 40])
    with pytest.raises(ImageError, match=r"cut\.img") as caught:
        open_image(path)
    assert "\n" not in str(caught.value)


def test_a_picture_over_the_pixel_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (12_000, 40_000):  # under and over Pillow's own bomb limit
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        bomb = (
            b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        )
        with pytest.raises(ImageError, match="over the limit"):
            open_image(bomb)
    with pytest.raises(ImageError, match="megapixels"):
        open_image(encoded(PIL.Image.new("RGB", (40, 40)), "PNG"), Limits(max_pixels=1000))
    with pytest.raises(ImageError, match="MiB"):
        open_image(b"x" * 2000, Limits(max_bytes=1000))


def test_other_things_than_pictures_are_refused(tmp_path: Path) -> None:
    for source in ("https://example.org/a.png", "data:image/png;base64,AAAA"):
        with pytest.raises(ImageError, match="URLs are not read"):
            open_image(source)
    with pytest.raises(ImageError, match="No such file"):
        open_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="no regular file"):
        open_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match="empty"):
        open_image(tmp_path / "empty.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(ImageError, match="no regular file"):
            open_image(tmp_path / "pipe.png")
    with pytest.raises(ImageError):
        open_image(b"%PDF-1.4 nothing")


def test_random_damage_never_raises_anything_else(colours: PIL.Image.Image) -> None:
    generator = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        good = encoded(colours, kind)
        for _ in range(40):
            data = bytearray(good)
            for place in generator.integers(0, len(data), 6):
                data[place] = generator.integers(0, 256)
            try:
                open_image(bytes(data))
            except ImageError as error:
                assert "\n" not in str(error)


def test_saving_keeps_pixels_only_and_is_whole(colours: PIL.Image.Image, tmp_path: Path) -> None:
    image = Image.from_array(np.asarray(colours))
    for name in ("a.png", "a.bmp", "a.webp"):
        assert (open_image(save_image(image, tmp_path / name)).pixels == image.pixels).all()
    written = PIL.Image.open(save_image(image, tmp_path / "a.jpg"))
    assert not written.getexif()
    assert "icc_profile" not in written.info
    left = sorted(p.suffix for p in tmp_path.iterdir())
    assert left == [".bmp", ".jpg", ".png", ".webp"]  # no temporary file
    with pytest.raises(InputError, match="suffixes"):
        save_image(image, tmp_path / "a.xyz")


def test_outputs_stay_below_their_folder_and_off_links(colours: PIL.Image.Image, tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    assert safe_output(folder, "a/b.png") == folder / "a" / "b.png"
    for name in ("../b.png", "/etc/b.png", "a/../../b.png", "", ".", "a\0.png"):
        with pytest.raises(InputError):
            safe_output(folder, name)
    (folder / "link").symlink_to(outside)
    (folder / "file.png").symlink_to(outside / "b.png")
    for name in ("link/b.png", "file.png"):
        with pytest.raises(InputError, match="symbolic link"):
            safe_output(folder, name)
    with pytest.raises(InputError, match="symbolic link"):
        save_image(Image.from_array(np.asarray(colours)), folder / "file.png")
    assert not list(outside.iterdir())
