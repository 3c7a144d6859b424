"""Pictures kept by content: PNG files named by the hash of their pixels, shared between traces, written whole or not at all."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np

from ...errors import SightlineError
from ...tools.values import Pixels, pixel_hash

_SUFFIX = ".png"


class PictureMissing(SightlineError):
    """A kept picture's file is gone or damaged."""


class Blobs:
    """The picture files below `folder`; safe from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, blob: str) -> Path:
        """Where the picture of that pixel hash lies."""
        return self.folder / blob[:2] / f"{blob[2:]}{_SUFFIX}"

    def write(self, blob: str, pixels: Pixels) -> None:
        """Keep pixels [H, W, 3] under their hash; nothing is done where they are there already."""
        path = self.path(blob)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(encode_png(pixels))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, blob: str) -> Pixels:
        """The pixels [H, W, 3] of a hash, which they must have.

        Raises:
            PictureMissing: the file is not there, or holds something else.
        """
        import PIL.Image

        path = self.path(blob)
        try:
            with PIL.Image.open(path, formats=["PNG"]) as file:
                pixels = np.asarray(file.convert("RGB"))
        except FileNotFoundError as error:
            raise PictureMissing(f"the picture {blob[:8]} was not kept ({path} is not there)") from error
        except (
            Exception
        ) as error:  # Pillow raises what its decoders meet: OSError, SyntaxError, DecompressionBomb...
            raise PictureMissing(f"the kept picture {path} cannot be read: {error}") from error
        if pixel_hash(pixels) != blob:
            raise PictureMissing(f"the kept picture {path} is not the one that was put there")
        return pixels

    def sizes(self) -> dict[str, int]:
        """Bytes on disk by pixel hash."""
        found = {}
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            try:
                found[path.parent.name + path.name.removesuffix(_SUFFIX)] = path.stat().st_size
            except FileNotFoundError:  # deleted by another process since it was listed
                continue
        return found

    def halves(self) -> list[Path]:
        """Files that a process wrote half of before it was killed, or that one is writing just now."""
        return [*self.folder.glob("*/*.tmp")]

    def remove(self, blob: str) -> None:
        self.path(blob).unlink(missing_ok=True)


def encode_png(pixels: Pixels) -> bytes:
    """Pixels [H, W, 3] as PNG with little effort: half the time of the usual level at a tenth more bytes."""
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
