"""Picture files in and out: capped before decoding, upright RGB when decoded, written without metadata and whole.

The format is told from the content. A file whose name says `.png` and whose bytes are a JPEG is read as the JPEG it is:
the name is no evidence either way, and only the six allowed decoders are ever tried. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import os
import secrets
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.BmpImagePlugin
import PIL.GifImagePlugin
import PIL.Image
import PIL.ImageFile
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import PIL.TiffImagePlugin
import PIL.WebPImagePlugin

from ..errors import ImageError, InputError
from .values import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 4}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".bmp": ("BMP", {}),
}
_ORIENTATION = 0x0112  # EXIF tag
# stored orientations that lie on their side: width and height change places
_SIDEWAYS = (5, 6, 7, 8)

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture file may be, checked before its pixels are decoded."""

    max_bytes: int = 64 * 2**20  # of the file
    max_pixels: int = 64_000_000  # width x height
    max_side: int = 32_768  # pixels


DEFAULT_LIMITS = Limits()


def open_image(source: Source, limits: Limits = DEFAULT_LIMITS) -> Image:
    """Decode a path, bytes or binary file object to an upright RGB `Image` with its content hash still to be computed.

    The first frame of a GIF, WEBP or TIFF; transparency over white; CMYK, palettes, grey and 16 bits become 8-bit RGB.
    Raises ImageError (one line that names the file) when it is missing, over a limit, damaged or of another format.
    """
    name, data = _read(source, limits)
    with _header(data, name, limits) as picture:
        try:
            picture.load()
            pixels = _upright_rgb(picture, name)
        except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
            raise ImageError(
                f"{name}: the {picture.format} data cannot be decoded ({_line(error)})"
            ) from error
    height, width = pixels.shape[:2]
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    return Image(size=(width, height), pixels=pixels, source=path)


def read_header(source: Source, limits: Limits = DEFAULT_LIMITS) -> tuple[str, int, int]:
    """(format, width, height) without decoding pixels, upright as `open_image` gives them; the same errors.

    Only an orientation stored behind the pixels (which a PNG may have) is not seen.
    """
    if isinstance(source, str | os.PathLike):
        name = _checked_path(source, limits)
        with open(source, "rb") as file, _header(file, name, limits) as picture:
            return _described(picture)
    name, data = _read(source, limits)
    with _header(data, name, limits) as picture:
        return _described(picture)


def save_image(image: Image, path: str | os.PathLike[str]) -> Path:
    """Write the pixels, and nothing else, in the format of the suffix (PNG, JPEG, WEBP, BMP); whole or not at all.

    Callers that take a name from outside build the path with `safe_output`.
    """
    target = Path(path)
    if target.suffix.lower() not in _WRITERS:
        raise InputError(
            f"{target.name}: pictures are written as {', '.join(_WRITERS)}; choose one of these suffixes"
        )
    kind, options = _WRITERS[target.suffix.lower()]
    buffer = io.BytesIO()
    PIL.Image.fromarray(image.pixels).save(buffer, kind, **options)
    return write_whole(target, buffer.getvalue())


def write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write bytes so that a reader sees the old file or the new one, never a part: temp file, fsync, rename."""
    target = Path(path)
    if target.is_symlink():
        raise InputError(f"{target} is a symbolic link; outputs are not written through links")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")  # its length is no matter of the target's
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # where folders can be synced, the new name must outlive a power cut too
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target


def safe_output(folder: str | os.PathLike[str], name: str | os.PathLike[str]) -> Path:
    """The path of `name` below `folder`, whose missing folders are made. Leaving it, or a link on the way, is refused.

    `folder` itself is the user's choice and may be a link; nothing below it may.
    """
    root = Path(folder)
    relative = Path(name)
    text = os.fspath(name)
    if not text or "\0" in text or relative.is_absolute() or relative.drive or ".." in relative.parts:
        raise InputError(f"output name {text!r} does not stay below {root}; give a plain relative name")
    if not relative.parts:
        raise InputError(f"output name {text!r} names no file")
    make_folder(root)
    path = root
    for part in relative.parts:
        path = path / part
        if path.is_symlink():
            raise InputError(f"{path} is a symbolic link; outputs are not written through links")
    make_folder(path.parent)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the output another name")
    return path


def make_folder(folder: Path) -> None:
    """Make an output folder and those above it; InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made a folder ({error.strerror or error}); choose another --out"
        ) from error


def _checked_path(source: str | os.PathLike[str], limits: Limits) -> str:
    """The name for messages of an existing, regular, not too large file."""
    name = os.fspath(source)
    if "://" in name or name.startswith("data:"):
        raise ImageError(f"{name[:80]}: URLs are not read; download the picture and give its path")
    if "\0" in name:
        raise ImageError(f"{name!r} is no file name")
    try:
        status = os.stat(name)
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or 'cannot be read'}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is no regular file; give the path of a picture")
    _check_bytes(name, status.st_size, limits)
    return name


def _check_bytes(name: str, size: int, limits: Limits) -> None:
    if size == 0:
        raise ImageError(f"{name} is empty")
    if size > limits.max_bytes:
        raise ImageError(
            f"{name}: {size / 2**20:.1f} MiB is over the limit of {limits.max_bytes / 2**20:.0f} MiB"
        )


def _read(source: Source, limits: Limits) -> tuple[str, io.BytesIO]:
    """The name for messages and the whole file, at most the limit and one byte."""
    if isinstance(source, str | os.PathLike):
        name = _checked_path(source, limits)
        try:
            with open(name, "rb") as file:
                data = file.read(limits.max_bytes + 1)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or 'cannot be read'}") from error
    elif isinstance(source, bytes | bytearray | memoryview):
        name, data = "picture bytes", bytes(source)
    elif hasattr(source, "read"):
        given = getattr(source, "name", None)
        name, data = given if isinstance(given, str) else "picture file", source.read(limits.max_bytes + 1)
    else:
        raise ImageError(f"a picture is a path, bytes or a binary file, not a {type(source).__name__}")
    _check_bytes(name, len(data), limits)
    return name, io.BytesIO(data)


def _header(file: IO[bytes], name: str, limits: Limits) -> PIL.Image.Image:
    """Open without decoding, in one of the allowed formats and within the limits."""
    # other libraries turn it on, and a cut file would pass with grey where it ends
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        picture = _identify(file)
    except Exception as error:  # header parsers raise many kinds on hostile bytes
        raise ImageError(f"{name}: damaged header ({_line(error)})") from error
    if picture is None:
        raise ImageError(f"{name} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture")
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width} x {height} has no pixels")
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        picture.close()
        raise ImageError(
            f"{name}: {width} x {height} is over the limit of {limits.max_pixels / 1e6:.0f} megapixels"
            f" and {limits.max_side} pixels a side"
        )
    return picture


def _identify(file: IO[bytes]) -> PIL.Image.Image | None:
    """The picture by the one allowed decoder whose signature the file bears.

    Not by `PIL.Image.open`: other libraries replace it (ultralytics' version tries to install a HEIF decoder).
    """
    start = file.read(16)
    for kind in FORMATS:
        factory, accepts = PIL.Image.OPEN[kind]
        if accepts is not None and accepts(start) is True:
            file.seek(0)
            return factory(file, "")
    return None


def _described(picture: PIL.Image.Image) -> tuple[str, int, int]:
    width, height = picture.size
    # MPO is a JPEG with further frames behind it
    kind = "JPEG" if picture.format == "MPO" else str(picture.format)
    raw = picture.info.get("exif") if kind == "PNG" else True  # asking a PNG for EXIF would decode it
    if raw and _orientation(picture) in _SIDEWAYS:
        width, height = height, width
    return kind, width, height


def _orientation(picture: PIL.Image.Image) -> int:
    try:
        if picture.format == "PNG" and picture.info.get("exif"):
            exif = PIL.Image.Exif()
            exif.load(picture.info["exif"])
            return int(exif.get(_ORIENTATION, 1))
        return int(picture.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return 1  # damaged metadata says nothing about which way is up: the picture stays as stored


_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


def _upright_rgb(picture: PIL.Image.Image, name: str) -> np.ndarray:
    """[H, W, 3] uint8, read-only."""
    turn = _TURNS.get(_orientation(picture))
    upright = picture.transpose(turn) if turn is not None else picture
    if upright.mode.startswith("I;16"):
        upright = PIL.Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
    elif upright.mode in ("I", "F"):
        raise ImageError(f"{name}: 32-bit samples have no common scale; convert the picture to 8 or 16 bits")
    if upright.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        paper = PIL.Image.new("RGBA", layer.size, "white")
        upright = PIL.Image.alpha_composite(paper, layer)
    rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
    pixels = np.asarray(rgb)
    pixels.setflags(write=False)
    return pixels


def _line(error: BaseException) -> str:
    """The first line of an error's text, for use inside one of ours."""
    return (str(error) or type(error).__name__).splitlines()[0][:160]


__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "SUFFIXES",
    "Limits",
    "make_folder",
    "open_image",
    "read_header",
    "safe_output",
    "save_image",
    "write_whole",
]
