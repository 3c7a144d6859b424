"""The starter's detector for any picture: what it keeps of a picture is that picture's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.tools.backends import by_picture
from sightline.tools.backends.drawn import PHOTOGRAPH
from sightline.tools.values import Image, Region, Regions


class Photographs:
    """A sorter that takes every picture for a photograph."""

    kinds = ("dog",)

    def __init__(self, *_: Any) -> None:
        pass

    def sort(self, image: Image) -> str:
        return PHOTOGRAPH


class Looked:
    """Sees one person in the upper left of every picture, and counts its looks."""

    vocabulary = ("person",)
    looks = 0

    def __init__(self, *_: Any) -> None:
        pass

    def see(self, images: Sequence[Image], tool: str, weights: str) -> list[Regions]:
        Looked.looks += len(images)
        box = (0.0, 0.0, 4.0, 4.0)
        return [
            Regions([Region(i.outward(box), label="person", score=0.9, picture=i.picture)]) for i in images
        ]


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> by_picture.PictureDetector:
    monkeypatch.setattr(by_picture, "Sorter", Photographs)
    monkeypatch.setattr(by_picture, "Looks", Looked)
    monkeypatch.setattr(Looked, "looks", 0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "weights.safetensors").touch()
    return by_picture.PictureDetector(tmp_path, "digest", without=())


def plain(level: int) -> np.ndarray:
    return np.full((16, 16, 3), level, np.uint8)


def test_an_edited_picture_and_an_upload_of_the_same_pixels_have_regions_of_their_own(
    detector: by_picture.PictureDetector,
) -> None:
    edited = Image.from_array(plain(10)).with_pixels(plain(99))
    upload = Image.from_array(plain(99))
    assert edited.hash == upload.hash and edited.picture != upload.picture
    found = [detector.detect([image])[0][0] for image in (edited, upload)]
    assert [region.picture for region in found] == [edited.picture, upload.picture]


def test_crops_that_were_painted_alike_keep_their_places(detector: by_picture.PictureDetector) -> None:
    whole = Image.from_array(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    crops = [
        whole.crop(box).with_pixels(plain(0)) for box in ((0.0, 0.0, 16.0, 16.0), (16.0, 16.0, 32.0, 32.0))
    ]
    assert crops[0].hash == crops[1].hash
    assert [regions[0].box[:2] for regions in detector.detect(crops)] == [(0.0, 0.0), (16.0, 16.0)]


def test_the_same_picture_is_looked_at_once(detector: by_picture.PictureDetector) -> None:
    image = Image.from_array(plain(1))
    detector.detect([image, image])
    detector.glimpse([image])
    assert Looked.looks == 1
