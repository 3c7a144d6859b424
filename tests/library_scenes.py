"""Pictures with known answers for the library's tests, and a detector that knows what stands in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from sightline.tools.values import Image, Mask, Region, Regions

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

RED, BLUE, GREEN, TAN, WHITE = (210, 30, 30), (30, 60, 200), (30, 150, 60), (240, 200, 160), (255, 255, 255)

# What stands in the street: label, box, colour. Two people left of two cars, a bus at the right.
STREET = (
    ("person", (10, 60, 30, 140), TAN),
    ("person", (50, 70, 66, 140), TAN),
    ("car", (90, 100, 150, 140), RED),
    ("car", (170, 104, 220, 140), BLUE),
    ("bus", (232, 40, 312, 140), GREEN),
)


class KnownDetector:
    """Gives what was registered for a picture, within the part of it that it is shown; nothing for other pictures."""

    vocabulary = ("person", "bicycle", "car", "bus", "truck", "dog", "cup")
    batch = 8

    def __init__(self) -> None:
        self.known: dict[str, list[Region]] = {}

    def know(self, image: Image, things: list[tuple[str, tuple[float, float, float, float]]]) -> None:
        self.known[image.picture] = [
            Region(box, label, score=0.9 - 0.01 * number, mask=Mask.from_array(Region(box).mask_on(image)))
            for number, (label, box) in enumerate(things)
        ]

    def detect(self, images: list[Image]) -> list[Regions]:
        return [Regions(self.known.get(image.picture, [])) for image in images]


def photo(name: str) -> Image:
    return Image.open(EXAMPLES / name)


def street() -> Image:
    picture = PIL.Image.new("RGB", (320, 160), (128, 128, 128))
    pen = PIL.ImageDraw.Draw(picture)
    for _, (x1, y1, x2, y2), color in STREET:
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
    return Image.from_array(np.asarray(picture))


def written(
    lines: list[tuple[str, tuple[int, int]]], size: tuple[int, int] = (420, 300), points: int = 24
) -> Image:
    """A white page with each text at its place."""
    picture = PIL.Image.new("RGB", size, WHITE)
    pen = PIL.ImageDraw.Draw(picture)
    font = PIL.ImageFont.load_default(points)
    for text, place in lines:
        pen.text(place, text, fill=(10, 10, 10), font=font)
    return Image.from_array(np.asarray(picture))


def receipt() -> Image:
    """Sub-total, tax, total and cash: names at the left, amounts far to the right."""
    rows = [
        ("CORNER SHOP", ""),
        ("Subtotal", "10.00"),
        ("Tax", "1.50"),
        ("TOTAL", "$11.50"),
        ("Cash", "20.00"),
    ]
    lines = []
    for number, (name, amount) in enumerate(rows):
        lines += [(name, (20, 20 + 50 * number)), (amount, (300, 20 + 50 * number))]
    return written([line for line in lines if line[0]])


def on_page(image: Image, text: str) -> Image:
    """A photograph with a strip of print below it."""
    strip = np.asarray(written([(text, (20, 15))], (image.width, 60), 30).pixels)
    return Image.from_array(np.concatenate([image.pixels, strip]))


def parked_car() -> Image:
    """A red car with a number plate, and a shop's sign outside of it that is no plate."""
    picture = PIL.Image.new("RGB", (480, 320), (190, 200, 205))
    pen = PIL.ImageDraw.Draw(picture)
    pen.rectangle((100, 120, 399, 299), fill=RED)
    pen.rectangle((170, 235, 329, 279), fill=WHITE)
    pen.text((182, 240), "AB12 CDE", fill=(10, 10, 10), font=PIL.ImageFont.load_default(32))
    pen.text((150, 30), "SHOP 1234", fill=(10, 10, 10), font=PIL.ImageFont.load_default(36))
    return Image.from_array(np.asarray(picture))


def ball() -> Image:
    """A red ball on a pale ground, its middle at (150, 100) and 60 pixels in radius."""
    picture = PIL.Image.new("RGB", (300, 200), (225, 230, 225))
    PIL.ImageDraw.Draw(picture).ellipse((90, 40, 209, 159), fill=RED)
    return Image.from_array(np.asarray(picture))


def brightened(image: Image) -> Image:
    """A near-duplicate: three quarters of the size, and a little brighter."""
    small = image.pil().resize((image.width * 3 // 4, image.height * 3 // 4))
    return Image.from_array(np.clip(np.asarray(small).astype(int) + 12, 0, 255).astype(np.uint8))
